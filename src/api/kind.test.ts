import { describe, expect, test } from 'vitest'
import { apiVersion } from './meta.ts'
import { pluginInstallType, unsupportedFields as unsupportedOfPlugin } from './plugin-install.ts'
import { unsupportedFields, workspaceType } from './workspace.ts'

const metadata = {
  name: 'ada',
  namespace: 'acme',
  uid: 'u',
  resourceVersion: '1',
  generation: 1,
  creationTimestamp: 't',
}
const raw = (kind: string, spec: unknown) => ({ apiVersion, kind, metadata, spec, status: { observedGeneration: -1 } })
const workspace = (spec: object) => workspaceType.parse(raw('Workspace', spec)).spec
describe('parse', () => {
  test('keeps identity and status, fills in defaults, drops what it does not know', () => {
    const parsed = workspaceType.parse(raw('Workspace', { displayName: 'Ada', surprise: true }))
    expect(parsed).toMatchObject({ metadata, status: { observedGeneration: -1 } })
    expect(parsed.spec).toEqual({
      displayName: 'Ada',
      power: 'Running',
      suspend: false,
      updateStrategy: 'WhenIdle',
      childrenPolicy: 'Orphan',
      deletionPolicy: 'Delete',
      workspaceAccess: 'none',
      delivery: 'push',
      maxConcurrentTasks: 1,
      updateRing: 'production',
    })
  })

  test('takes the spec of a known version of the same object and generation, and of no other', () => {
    const known = workspaceType.parse(raw('Workspace', { displayName: 'Ada' }))
    const later = (change: object) =>
      workspaceType.parse({ ...raw('Workspace', {}), metadata: { ...metadata, ...change } }, known)
    expect(later({ resourceVersion: '2' }).spec).toBe(known.spec)
    expect(later({ generation: 2 }).spec.displayName).toBeUndefined()
    expect(later({ uid: 'v' }).spec.displayName).toBeUndefined()
  })

  test.each([
    [undefined, 'not a Workspace: no metadata'],
    [{ apiVersion, kind: 'Workspace' }, 'not a Workspace: no metadata'],
    [raw('Runtime', {}), '"ada" is molecule.dev/v1alpha1 Runtime, not molecule.dev/v1alpha1 Workspace'],
    [raw('Workspace', undefined), 'Workspace "ada": spec: Invalid input: expected object'],
    [raw('Workspace', { tier: 9 }), 'Workspace "ada": spec.tier: Too big'],
    [raw('Workspace', { env: [{ name: 'A' }, { name: 'A' }] }), 'spec.env: must not contain the same name twice'],
  ])('refuses %j', (object, message) => {
    expect(() => workspaceType.parse(object)).toThrow(message)
  })

  test('never shows a value, which may be a secret', () => {
    const spec = { env: [{ name: 'TOKEN', value: 'hunter2', valueFrom: {} }], displayName: 'hunter2\n' }
    expect(() => workspaceType.parse(raw('Workspace', spec))).toThrow(/^(?!.*hunter2)/s)
  })

  test('counts characters as the API server does', () => {
    expect(workspace({ displayName: '🦊'.repeat(255) }).displayName).toHaveLength(510)
    expect(() => workspace({ displayName: '🦊'.repeat(256) })).toThrow('must have at most 255 characters')
  })

  test('takes a role of several lines, as folded YAML gives it', () => {
    expect(workspace({ role: 'Sets the directions.\nOwns the "done".\n' }).role).toContain('Owns')
  })
})

describe('fields that nobody acts on yet are named', () => {
  test.each([
    [{}, []],
    [{ updateStrategy: 'WhenIdle', childrenPolicy: 'Orphan', workspaceDir: '/srv/x', schedules: [] }, []],
    [{ compute: {} }, ['spec.compute']],
    [{ schedules: [{ name: 'a', cron: '0 9 * * *', prompt: 'Go.' }], categoryRouting: { ui: ['Ada'] } }, []],
    [{ channels: [{ name: 'a', type: 'slack' }], memories: [{ content: 'a' }] }, []],
  ])('Workspace %j', (spec, names) => {
    expect(unsupportedFields(workspace(spec))).toEqual(names)
  })

  test('PluginInstall: all that it says', () => {
    const { spec } = pluginInstallType.parse(raw('PluginInstall', { source: 'a', targets: { names: ['b'] } }))
    expect(unsupportedOfPlugin(spec)).toContain('spec.source')
  })
})
