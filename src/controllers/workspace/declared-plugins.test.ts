import { expect, test } from 'vitest'
import { pluginInstallType, type PluginInstall } from '../../api/plugin-install.ts'
import { workspaceType } from '../../api/workspace.ts'
import { declaredPlugins, targetIndex } from './declared-plugins.ts'

const apiVersion = 'molecule.dev/v1alpha1'
const metadata = (name: string, more: object = {}) => ({
  name,
  uid: name,
  namespace: 'ns',
  resourceVersion: '1',
  generation: 1,
  creationTimestamp: '2026-01-01T00:00:00Z',
  ...more,
})
const install = (name: string, spec: object, more: object = {}): PluginInstall =>
  pluginInstallType.parse({ apiVersion, kind: 'PluginInstall', metadata: metadata(name, more), spec })
const ada = workspaceType.parse({
  apiVersion,
  kind: 'Workspace',
  metadata: metadata('ada', { labels: { team: 'design', ring: 'canary' } }),
  spec: {},
})
const declared = (...installs: PluginInstall[]) =>
  declaredPlugins(ada, (key) => installs.filter((each) => targetIndex(each).includes(key)))

test('by name, by label, in the order of their names', () => {
  const found = declared(
    install('two', { source: 'github://acme/zeal', ref: 'v1.0.0', targets: { names: ['bob', 'ada'] } }),
    install('one', { source: 'careful-bash', targets: { selector: { matchLabels: { team: 'design' } } } }),
    install('not', { source: 'other', targets: { names: ['bob'] } }),
    install('nor', { source: 'else', targets: { selector: { matchLabels: { team: 'ops' } } } }),
  )
  expect(found).toEqual([
    { name: 'careful-bash', source: 'careful-bash' },
    { name: 'zeal', source: 'github://acme/zeal#v1.0.0' },
  ])
})

test.each([
  [{ key: 'team', operator: 'In', values: ['design'] }, 1],
  [{ key: 'team', operator: 'NotIn', values: ['design'] }, 0],
  [{ key: 'none', operator: 'NotIn', values: ['design'] }, 1],
  [{ key: 'team', operator: 'Exists' }, 1],
  [{ key: 'team', operator: 'DoesNotExist' }, 0],
  // Every object has something by this name.
  [{ key: 'constructor', operator: 'Exists' }, 0],
])('%j', (expression, count) => {
  const selector = { matchExpressions: [expression] }
  expect(declared(install('one', { source: 'p', targets: { selector } }))).toHaveLength(count)
})

test('an empty selector takes all; one that is being deleted declares nothing; each name is there once', () => {
  const everyone = { targets: { selector: {} } }
  expect(declared(install('one', { source: 'p', ...everyone }))).toHaveLength(1)
  const going = { deletionTimestamp: '2026-01-01T00:00:00Z' }
  expect(declared(install('one', { source: 'p', ...everyone }, going))).toEqual([])
  const twice = [
    install('b', { source: 'github://x/p', ...everyone }),
    install('a', { source: 'github://y/p', ...everyone }),
  ]
  expect(declared(...twice)).toEqual([{ name: 'p', source: 'github://x/p' }])
  expect(declared(...twice.toReversed())).toEqual([{ name: 'p', source: 'github://x/p' }])
})

test('without a name of its own a plugin is called as the end of its address, which may be long or end in a slash', () => {
  const everyone = { targets: { selector: {} } }
  const nameOf = (source: string) => declared(install('one', { source, ...everyone }))[0]?.name
  expect(nameOf('github://acme/zeal/')).toBe('zeal')
  expect(nameOf(`github://acme/${'ä'.repeat(2000)}`)).toBe('ä'.repeat(128))
  expect(nameOf('local:///')).toBe('local:')
})
