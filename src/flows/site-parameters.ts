import {
  EVERY_SITE,
  type Parameters,
  type ReadParameters,
  readParameters,
  resolveParameters,
} from '../core/parameters.ts';
import type { Secrets } from '../core/sealed.ts';
import type { StoredDocument } from '../ports/documents.ts';
import { FollowDatabase, type FollowDatabaseParts, type FollowState } from './follow-database.ts';

export interface SiteParametersParts extends Omit<FollowDatabaseParts, 'onChange' | 'keep'> {
  readonly site: string;
  readonly secrets: Secrets;
  /** What holds where nobody says otherwise. */
  readonly defaults: Parameters;
  /** What the site's own configuration says. */
  readonly configMap: Parameters;
}

/** What the site's actions are given, followed from the center's database `parameters` and the configuration. */
export class SiteParameters {
  readonly #parts: SiteParametersParts;
  readonly #database: FollowDatabase;
  #current: Parameters;
  #problems: readonly string[] = [];

  constructor(parts: SiteParametersParts) {
    this.#parts = parts;
    this.#current = resolveParameters({ site: parts.defaults, configMap: parts.configMap });
    this.#database = new FollowDatabase({ ...parts, onChange: (documents) => this.#resolve(documents) });
  }

  /** Resolves when what the snapshot holds is current. */
  start(): Promise<void> {
    return this.#database.start();
  }

  stop(): Promise<void> {
    return this.#database.stop();
  }

  current(): Parameters {
    return this.#current;
  }

  /** Parameters of the center that this site can't use, and why. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  get state(): FollowState {
    return this.#database.state;
  }

  #resolve(documents: ReadonlyMap<string, StoredDocument>): void {
    const { site, secrets, defaults, configMap } = this.#parts;
    const [everySite, thisSite] = [EVERY_SITE, site].map((id): ReadParameters => {
      const document = documents.get(id);
      return document ? readParameters(document, secrets) : { parameters: {}, problems: [] };
    }) as [ReadParameters, ReadParameters];
    this.#problems = [...everySite.problems, ...thisSite.problems];
    this.#current = resolveParameters({
      site: defaults,
      everySite: everySite.parameters,
      thisSite: thisSite.parameters,
      configMap,
    });
  }
}
