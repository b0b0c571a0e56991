import { expect, test } from 'vitest'
import { owner } from '../../../test/support/org-plan.ts'
import { SourceError, type Sight, type SourceFault, type SourceRequest } from '../../sources/source.ts'
import { readSource, type SourceViews } from './source.ts'

test.each(['constructor', 'toString', '__proto__'])('"%s" is a key like any other', (archiveKey) => {
  const org = owner()
  const source = { configMapRef: { name: 'c', key: 'org.yaml', archiveKey } }
  const views = {
    configMap: () => ({
      state: 'found',
      object: { metadata: { ...org.metadata, name: 'c' }, data: {}, binaryData: {} },
    }),
    sources: { retain: () => undefined },
  } as unknown as SourceViews
  expect(readSource({ ...org, spec: { ...org.spec, source } }, views)).toMatchObject({
    reason: 'SourceMissing',
    message: `ConfigMap "c" has no binaryData "${archiveKey}"`,
  })
})

const found = { ...owner().metadata, name: 'c', resourceVersion: '7' }
const texts = new Map(Object.entries({ 'team-abc/org.yaml': '', 'team-abc/old/org.yaml': '' }))

/** What is asked of the sources for an archive, and what is said of a folder with these files. */
function archived(key: string, folder: { texts: ReadonlyMap<string, string>; skipped?: ReadonlyMap<string, string> }) {
  const asked: SourceRequest[] = []
  const org = owner()
  const views = {
    configMap: () => ({ state: 'found', object: { metadata: found, binaryData: { tgz: '' } } }),
    sources: {
      retain: () => undefined,
      look: (request: SourceRequest): Sight => {
        asked.push(request)
        const skipped = folder.skipped ?? new Map()
        return { state: 'fetched', folder: { revision: '7', identity: 'i', ...folder, skipped }, trouble: undefined }
      },
    },
  } as unknown as SourceViews
  const source = { configMapRef: { name: 'c', key, archiveKey: 'tgz' } }
  return { read: readSource({ ...org, spec: { ...org.spec, source } }, views), asked }
}

test('a path in an archive moves the top of the template to its folder, and a key that is encoded does not', () => {
  const there = { texts: new Map([['org.yaml', 'name: A']]) }
  const { read, asked } = archived('team-abc/old/org.yaml', there)
  expect(asked).toMatchObject([{ kind: 'archive', path: 'team-abc/old' }])
  expect(read).toMatchObject({ source: { kind: 'files', entry: 'org.yaml' } })
  const encoded = archived('team-abc__org.yaml', { texts })
  expect(encoded.asked).toMatchObject([{ kind: 'archive', path: '' }])
  expect(encoded.read).toMatchObject({ source: { kind: 'files', entry: 'team-abc/org.yaml' } })
  expect(archived('a/../../org.yaml', there).read).toMatchObject({ reason: 'SourceInvalid' })
})

test('of an archive whose template is in a folder, that folder is told', () => {
  expect(archived('org.yaml', { texts }).read).toMatchObject({
    reason: 'SourceMissing',
    message: '"tgz" of ConfigMap "c" has no org.yaml, but team-abc/org.yaml: say key: team-abc/org.yaml',
  })
})

test('a template that is a link is called one', () => {
  const skipped = new Map([['org.yaml', 'it is a symbolic link']])
  expect(archived('org.yaml', { texts: new Map(), skipped }).read).toMatchObject({
    reason: 'SourceInvalid',
    message: '"tgz" of ConfigMap "c": org.yaml cannot be read: it is a symbolic link',
  })
})

test('a path is no key of a ConfigMap, and how it is written there is told', () => {
  const views = {
    configMap: () => ({ state: 'found', object: { metadata: found, data: { a__org: '' } } }),
    sources: { retain: () => undefined },
  } as unknown as SourceViews
  const org = owner()
  const source = { configMapRef: { name: 'c', key: 'a/org.yaml' } }
  expect(readSource({ ...org, spec: { ...org.spec, source } }, views)).toMatchObject({
    reason: 'SourceMissing',
    message: 'ConfigMap "c" has no key "a/org.yaml": a key has "__" for a slash, "a__org.yaml"',
  })
})

test('an archive that is named as if it was a template is told by which field it is read', () => {
  const views = {
    configMap: () => ({ state: 'found', object: { metadata: found, binaryData: { 'all.tgz': '' } } }),
    sources: { retain: () => undefined },
  } as unknown as SourceViews
  const org = owner()
  const source = { configMapRef: { name: 'c', key: 'all.tgz' } }
  expect(readSource({ ...org, spec: { ...org.spec, source } }, views)).toMatchObject({
    reason: 'SourceMissing',
    message: expect.stringMatching(/^key "all\.tgz" of ConfigMap "c" is in binaryData.*archiveKey/),
  })
})

test.each([
  [
    'https://files.example/org.tar.gz',
    'SourceMissing',
    /answers 404; an archive is no repository: .*archiveKey.*sourceRef$/,
  ],
  ['https://files.example/org.tgz', 'SourceInvalid', /an archive is no repository/],
  ['https://files.example/org.tgz', 'SourceUnreachable', /answers 404$/],
  ['https://files.example/tar', 'SourceMissing', /answers 404$/],
] as const)(
  'of %s that fails as %s, what an archive is for is told where it may be one',
  (url, fault: SourceFault, says) => {
    const views = {
      sources: {
        retain: () => undefined,
        look: (): Sight => ({ state: 'failed', error: new SourceError(fault, 'files.example answers 404') }),
      },
    } as unknown as SourceViews
    const org = owner({ source: { git: { url, interval: '1m' } } })
    expect(readSource(org, views)).toMatchObject({ reason: fault, message: expect.stringMatching(says) })
  },
)

test('where a repository is that is named without a host: as the settings say, and without them beside the template', () => {
  const hostsOf = (url: string, defaultHost?: string) => {
    const folder = { revision: 'r', identity: 'i', texts: new Map([['org.yaml', '']]), skipped: new Map() }
    const look = (): Sight => ({ state: 'fetched', folder, trouble: undefined })
    const views = { defaultHost, sources: { retain: () => undefined, look } } as unknown as SourceViews
    const read = readSource(owner({ source: { git: { url, interval: '1m' } } }), views)
    return 'source' in read && read.source.kind === 'files' ? read.source.hosts : undefined
  }
  const [home, standard] = ['https://git.example:8443', 'https://std.example']
  expect(hostsOf(`${home}/a/b`)).toEqual({ home, standard: undefined })
  expect(hostsOf(`${home}/a/b`, standard)).toEqual({ home, standard })
  expect(hostsOf('http://git.example/a/b')).toEqual({ home: undefined, standard: undefined })
})

test('the keys of a ConfigMap are the same files as long as it is the same', () => {
  const filesOf = (object: object) => {
    const views = {
      configMap: () => ({ state: 'found', object }),
      sources: { retain: () => undefined },
    } as unknown as SourceViews
    const read = readSource(owner({ source: { configMapRef: { name: 'c', key: 'org.yaml' } } }), views)
    return 'source' in read && read.source.kind === 'files' ? read.source.files : undefined
  }
  const object = { metadata: found, data: { 'org.yaml': 'name: A', roles__a: 'A' } }
  expect([...(filesOf(object)?.keys() ?? [])]).toEqual(['org.yaml', 'roles/a'])
  expect(filesOf(object)).toBe(filesOf(object))
  expect(filesOf({ ...object, data: { 'org.yaml': 'name: B' } })?.get('org.yaml')).toBe('name: B')
})
