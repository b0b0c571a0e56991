import { expect, test } from 'vitest'
import { orgImportType } from '../../api/org-import.ts'
import { pluginInstallType, type PluginInstall } from '../../api/plugin-install.ts'
import { nodesOf } from '../../../test/support/org-plan.ts'
import type { Workspace } from '../../api/workspace.ts'
import { planInstalls, pluginsOf, type InstallPlan } from './installs.ts'

const metadata = { resourceVersion: '1', generation: 1, creationTimestamp: '2026-01-01T00:00:00Z', namespace: 'ns' }
const owner = orgImportType.parse({
  apiVersion: 'molecule.dev/v1alpha1',
  kind: 'OrgImport',
  metadata: { ...metadata, name: 'team', uid: 'u-1' },
  spec: { source: { inline: { name: 'Team', workspaces: [] } } },
})
const wanted = (plugins: Record<string, readonly string[]>) => new Map(Object.entries(plugins))

/** The world after a plan was carried out. */
const after = ({ actions }: InstallPlan): PluginInstall[] =>
  actions.flatMap((action) =>
    action.kind === 'install'
      ? [
          pluginInstallType.parse({
            ...action.manifest,
            metadata: { ...metadata, ...action.manifest.metadata, uid: action.name },
          }),
        ]
      : [],
  )
const told = ({ actions }: InstallPlan) => actions.map(({ kind, source }) => `${kind} ${source}`)

test('one for each plugin, with its targets; the same again is nothing to do', () => {
  const first = planInstalls(owner, wanted({ audit: ['a', 'b'], 'github://acme/zeal/': ['b'] }), [])
  expect(first.declared).toBe(2)
  const live = after(first)
  expect(live.map(({ metadata: { name } }) => name.slice(0, -8))).toEqual(['audit-', 'zeal-'])
  expect(live.map(({ spec }) => spec.targets.names)).toEqual([['a', 'b'], ['b']])
  expect(told(planInstalls(owner, wanted({ audit: ['a', 'b'], 'github://acme/zeal/': ['b'] }), live))).toEqual([])
  // The order of the template is of no meaning.
  expect(told(planInstalls(owner, wanted({ 'github://acme/zeal/': ['b'], audit: ['b', 'a'] }), live))).toEqual([])
})

test('a changed target is a write, a plugin of nobody goes, and one on its way out is not asked again', () => {
  const live = after(planInstalls(owner, wanted({ audit: ['a'], zeal: ['a'] }), []))
  const next = wanted({ audit: ['a', 'b'] })
  expect(told(planInstalls(owner, next, live))).toEqual(['install audit', 'uninstall zeal'])
  const deletionTimestamp = '2026-01-02T00:00:00Z'
  const going = live.map(({ metadata: own, ...rest }) =>
    Object.assign(rest, { metadata: { ...own, deletionTimestamp } }),
  )
  expect(told(planInstalls(owner, wanted({}), going))).toEqual([])
})

test('what somebody adds to one is left alone, what the template decides is put back', () => {
  const [live] = after(planInstalls(owner, wanted({ audit: ['a'] }), []))
  if (live === undefined) throw new Error('none')
  const edited = (spec: object): PluginInstall => ({ ...live, spec: { ...live.spec, ...spec } })
  expect(told(planInstalls(owner, wanted({ audit: ['a'] }), [edited({ ref: 'v2' })]))).toEqual([])
  expect(told(planInstalls(owner, wanted({ audit: ['a'] }), [edited({ targets: { names: ['x'] } })]))).toEqual([
    'install audit',
  ])
})

test('more targets than one may name are several, under names that stay', () => {
  const names = Array.from({ length: 1100 }, (_, i) => `ws-${i}`)
  const plan = planInstalls(owner, wanted({ audit: names }), [])
  expect(plan.declared).toBe(1)
  const live = after(plan)
  expect(live.map(({ spec }) => spec.targets.names?.length)).toEqual([512, 512, 76])
  expect(live.flatMap(({ spec }) => spec.targets.names ?? []).toSorted()).toEqual(names.toSorted())
  expect(told(planInstalls(owner, wanted({ audit: names }), live))).toEqual([])
})

/** Nodes with their plugins; those of `there` exist. */
const children = (plugins: Record<string, readonly string[]>, there: readonly string[] = []) =>
  nodesOf(...Object.entries(plugins).map(([name, own]) => ({ name, plugins: [...own] }))).map((node) => {
    const name = node.path.toLowerCase()
    const live = there.includes(name) ? ({ metadata: { name } } as Workspace) : undefined
    return { node, name, live, stranger: undefined }
  })

test('with CreateOnly those who are there keep what they have, whatever the template says; new ones get theirs', () => {
  const createOnly = { existing: 'Fail', update: 'CreateOnly' } as const
  const first = pluginsOf(children({ A: ['audit'], B: ['audit', 'zeal'] }), [], createOnly, [])
  expect(first).toEqual(wanted({ audit: ['a', 'b'], zeal: ['b'] }))
  const live = after(planInstalls(owner, first, []))
  const edited = children({ A: ['browser'], B: [], C: ['audit'] }, ['a', 'b'])
  const next = pluginsOf(edited, [], createOnly, live)
  expect(next).toEqual(wanted({ audit: ['c', 'a', 'b'], zeal: ['b'] }))
  expect(told(planInstalls(owner, next, live))).toEqual(['install audit'])
  // Who left the template is there as well.
  const [b] = edited.flatMap((each) => (each.name === 'b' && each.live ? [each.live] : []))
  expect(pluginsOf(children({ A: [] }, ['a']), b ? [b] : [], createOnly, live)).toEqual(first)
  const converge = { existing: 'Fail', update: 'Converge' } as const
  expect(pluginsOf(edited, [], converge, live)).toEqual(wanted({ browser: ['a'], audit: ['c'] }))
})

test('a ref goes where a PluginInstall has it, and with CreateOnly stays what the template said', () => {
  const pinned = 'github://acme/guard#v1.2.0'
  const live = after(planInstalls(owner, wanted({ [pinned]: ['a'], audit: ['a'] }), []))
  expect(live.map(({ spec: { source, ref } }) => [source, ref])).toEqual([
    ['github://acme/guard', 'v1.2.0'],
    ['audit', undefined],
  ])
  expect(live[0]?.metadata.name).toMatch(/^guard-[0-9a-f]{8}$/)
  expect(told(planInstalls(owner, wanted({ [pinned]: ['a'], audit: ['a'] }), live))).toEqual([])
  const byHand = live.map(({ spec, ...each }) => Object.assign(each, { spec: { ref: 'v9', ...spec } }))
  const policy = { existing: 'Fail', update: 'CreateOnly' } as const
  expect([...pluginsOf(children({ A: [] }, ['a']), [], policy, byHand).keys()].toSorted()).toEqual(
    ['audit', pinned].toSorted(),
  )
})
