// The naive provider: one firing per message through the `openwhisk` client, acknowledged by MQTT.js on receipt.
import { connect } from 'mqtt';
import openwhisk from 'openwhisk';

const [mqttUrl, apiUrl, auth] = process.argv.slice(2) as [string, string, string];
const platform = openwhisk({ api: `${apiUrl}/api/v1/`, api_key: auth });
const client = connect(mqttUrl, { clean: false, clientId: 'fire-per-message' });
client.on('message', (topic, body) => {
  const params = { type: 'message', topic, body: body.toString() };
  platform.triggers.invoke({ name: 'trigger', params }).catch((error: Error) => console.error(error.message));
});
client.subscribe('test', { qos: 1 }, () => console.log('subscribed'));
