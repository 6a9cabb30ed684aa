import { describe } from 'vitest';
import { chainSuite } from './support/chain-suite.ts';
import { Influx } from './support/influx.ts';

describe('aggregates get from the journal to an embedded center', () =>
  chainSuite({ startCenter: () => Influx.startEmbedded(['aggregates']) }));
