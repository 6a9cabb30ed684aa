// Unpacks an action's archive: zip, or tar compressed by gzip. Names that lead out of the folder, and links, are left out.
'use strict';
const { chmodSync, mkdirSync, writeFileSync } = require('node:fs');
const { dirname, resolve, sep } = require('node:path');
const { gunzipSync, inflateRawSync } = require('node:zlib');

const MAX_UNPACKED_BYTES = 512 * 1024 * 1024;
const ZIP_ENTRY = 0x04034b50;
const GZIP = 0x8b1f;

/** @throws a text for what is no archive, or one that is too large */
function unpack(archive, folder) {
  let entries;
  if (archive.length >= 22 && archive.readUInt32LE(0) === ZIP_ENTRY) entries = unzip(archive);
  else if (archive.length >= 18 && archive.readUInt16LE(0) === GZIP) entries = untar(gunzip(archive));
  else throw 'There was an error uncompressing the action archive. The file type is unsupported';
  let unpacked = 0;
  mkdirSync(folder, { recursive: true });
  for (const { name, mode, data } of entries) {
    const path = resolve(folder, name);
    if (!path.startsWith(folder + sep)) continue;
    if (name.endsWith('/')) {
      mkdirSync(path, { recursive: true });
      continue;
    }
    const content = data();
    unpacked += content.length;
    if (unpacked > MAX_UNPACKED_BYTES) throw 'The action archive is larger than 512 MB when it is unpacked.';
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    if (mode & 0o111) chmodSync(path, 0o755);
  }
}

/** APPNOTE.TXT 4.3: the central directory, and entries that are stored or deflated. */
function* unzip(archive) {
  const end = archive.lastIndexOf('PK\x05\x06', -22, 'latin1');
  if (end < 0) throw 'There was an error uncompressing the action archive.';
  let at = archive.readUInt32LE(end + 16);
  for (let left = archive.readUInt16LE(end + 10); left > 0; left--) {
    const method = archive.readUInt16LE(at + 10);
    const packedBytes = archive.readUInt32LE(at + 20);
    const nameBytes = archive.readUInt16LE(at + 28);
    const mode = archive.readUInt16LE(at + 40);
    const local = archive.readUInt32LE(at + 42);
    const name = archive.toString('utf8', at + 46, at + 46 + nameBytes);
    at += 46 + nameBytes + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32);
    const from = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
    const packed = archive.subarray(from, from + packedBytes);
    const data = () => (method === 0 ? packed : inflateRawSync(packed, { maxOutputLength: MAX_UNPACKED_BYTES }));
    yield { name, mode, data };
  }
}

function gunzip(archive) {
  return gunzipSync(archive, { maxOutputLength: MAX_UNPACKED_BYTES });
}

/** POSIX.1-2017, pax: ustar headers, long names in an extended header (`x`) or in GNU's way (`L`) before the entry. */
function* untar(archive) {
  let longName;
  for (let at = 0; at + 512 <= archive.length && archive[at] !== 0; ) {
    const text = (from, length) => archive.toString('utf8', at + from, at + from + length).split('\0')[0];
    const size = Number.parseInt(text(124, 12), 8) || 0;
    const content = archive.subarray(at + 512, at + 512 + size);
    const type = text(156, 1) || '0';
    const prefix = archive[at + 262] === 0 ? text(345, 155) : '';
    if (type === 'L') longName = content.toString().split('\0')[0];
    else if (type === 'x') longName = /(?:^|\n)\d+ path=(.*)\n/.exec(content.toString())?.[1];
    else {
      const name = longName ?? (prefix ? `${prefix}/${text(0, 100)}` : text(0, 100));
      longName = undefined;
      const mode = Number.parseInt(text(100, 8), 8);
      if (type === '5') yield { name: `${name}/`, mode };
      else if (type === '0') yield { name, mode, data: () => content };
    }
    at += 512 + Math.ceil(size / 512) * 512;
  }
}

module.exports = { unpack };
