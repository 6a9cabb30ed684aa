import { describe } from 'vitest';
import { forwardSuite } from '../support/forward-suite.ts';
import { Influx } from '../support/influx.ts';

describe('forward between embedded InfluxDBs', () => forwardSuite(() => Influx.startEmbedded()));
