/**
 * `_design/subscriptions` of `topic_listeners`: the views by which the predecessor's tools read it. A registration of
 * several topics has a row for each; one without a URL (each site's own broker, or an alarm) has none.
 */

const TOPICS = '(doc.topics || (Array.isArray(doc.topic) ? doc.topic : [doc.topic]))';

function map(key: string, value: string): string {
  return `function (doc) { if (doc.url) ${TOPICS}.forEach(function (topic) { emit(${key}, ${value}); }); }`;
}

// In the predecessor's documents the key stands plain, and its tools find it here; ours hold none.
const TRIGGER = '{trigger: doc.trigger, username: doc.username, password: doc.password}';

export const subscriptionsDesign = {
  _id: '_design/subscriptions',
  language: 'javascript',
  views: {
    host_topic_counts: { map: map("doc.url + '#' + topic", '1'), reduce: '_sum' },
    host_topic_triggers: { map: map("doc.url + '#' + topic", TRIGGER) },
    all: { map: map('doc._id', "doc.url + '#' + topic") },
    host_triggers: { map: map('doc.url', TRIGGER) },
  },
};
