import type { Pouch } from 'pouchdb-core';

/**
 * Where documents are kept: PouchDB (revision trees, conflicts, attachments) on LevelDB, with every batch synced.
 *
 * PouchDB's adapter writes each change of documents as one LevelDB batch, but without `sync`: after a power cut the
 * last ones would be gone although they were answered with 201. Here the batch is in the log on disk (fdatasync)
 * before LevelDB calls back.
 */
export async function openPouch(folder: string, revsLimit?: number): Promise<Pouch> {
  const { PouchDB, syncedLeveldown } = await libraries();
  return new PouchDB(folder, {
    adapter: 'leveldb',
    db: syncedLeveldown,
    // LevelDB's defaults (8 MB cache and 4 MB write buffer each) are meant for one database, not for a dozen.
    cacheSize: 1024 * 1024,
    writeBufferSize: 1024 * 1024,
    ...(revsLimit !== undefined && { revs_limit: revsLimit }),
  });
}

let loading: ReturnType<typeof load> | undefined;

/** PouchDB costs about 100 ms to load: on first use, and once. */
function libraries(): ReturnType<typeof load> {
  loading ??= load();
  return loading;
}

async function load() {
  const [core, adapter, { default: leveldown }] = await Promise.all([
    import('pouchdb-core'),
    import('pouchdb-adapter-leveldb'),
    import('leveldown'),
  ]);
  function syncedLeveldown(location: string) {
    const store = leveldown(location);
    const { _batch: batch, _put: put, _del: del } = store;
    store._batch = (operations, options, done) => batch.call(store, operations, { ...options, sync: true }, done);
    store._put = (key, value, options, done) => put.call(store, key, value, { ...options, sync: true }, done);
    store._del = (key, options, done) => del.call(store, key, { ...options, sync: true }, done);
    return store;
  }
  syncedLeveldown.destroy = leveldown.destroy;
  return { PouchDB: core.default.plugin(adapter.default), syncedLeveldown };
}
