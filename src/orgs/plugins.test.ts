import { expect, it } from 'vitest'
import { pluginInstallKind } from '../api/plugin-install.ts'
import { refuseBy } from './check.ts'
import type { OrgPlugin } from '../api/org-template.ts'
import { OrgError } from './org-error.ts'
import { mergePlugins, splitRef } from './plugins.ts'

const merge = (defaults: readonly OrgPlugin[], own: readonly OrgPlugin[]) => {
  const idle: string[] = []
  const unused: unknown[] = []
  const result = mergePlugins(
    { entries: defaults, at: ['defaults', 'plugins'] },
    { entries: own, at: ['workspaces', 0, 'plugins'] },
    {
      refuse: refuseBy(() => undefined),
      attempt: (act) => act(),
      idle: (entry) => idle.push(entry),
      unused: (plugin, config, at) => unused.push([plugin, config, at.join('.')]),
    },
  )
  return { result, idle, ...(unused.length > 0 && { unused }) }
}

it.each([
  { defaults: ['a'], own: ['b'], result: ['a', 'b'] },
  { defaults: ['a'], own: ['a', 'b', 'b'], result: ['a', 'b'] },
  { defaults: ['a', 'b'], own: ['!a'], result: ['b'] },
  { defaults: ['a', 'b'], own: ['-a'], result: ['b'] },
  { defaults: ['a', 'b'], own: ['!!-a'], result: ['b'] },
  { defaults: ['a'], own: ['!a', 'a'], result: ['a'] },
  { defaults: ['a'], own: ['a', '!a'], result: [] },
  { defaults: [], own: ['b', '!b', 'c'], result: ['c'] },
  { defaults: ['', 'a'], own: ['', '!'], result: ['a'] },
  { defaults: ['github://org/a'], own: ['!github://org/a', 'b '], result: ['b'] },
])('$defaults with $own is $result', ({ defaults, own, result }) => {
  expect(merge(defaults, own)).toEqual({ result, idle: [] })
})

it('takes the ref of the last entry of a source, and an opt-out of any', () => {
  const pinned = 'github://acme/guard#v1.2.0'
  expect(merge([pinned], ['audit']).result).toEqual([pinned, 'audit'])
  expect(merge([pinned], ['github://acme/guard#v2']).result).toEqual(['github://acme/guard#v2'])
  expect(merge([pinned], ['!github://acme/guard']).result).toEqual([])
  expect(splitRef(pinned)).toEqual(['github://acme/guard', 'v1.2.0'])
})

it('takes an entry with settings, and hears of them', () => {
  const config = { schedules: [{}] }
  expect(
    merge(
      [],
      [
        { source: 'gitea://acme/scheduler#v0.2.0', config },
        { source: 'audit', config: undefined },
      ],
    ),
  ).toEqual({
    result: ['gitea://acme/scheduler#v0.2.0', 'audit'],
    idle: [],
    unused: [['gitea://acme/scheduler#v0.2.0', config, 'workspaces.0.plugins.0.config']],
  })
})

it('hears of an opt-out that takes nothing away', () => {
  expect(merge(['!a', 'a'], ['!b', 'c', '-d'])).toEqual({ result: ['a', 'c'], idle: ['!a', '!b', '-d'] })
})

it.each([
  '../../x',
  'A',
  'a b',
  'file:///a/../b',
  'github://o/r#',
  'github://o/r#a/../b',
  'https://user@host/x',
  '!../x',
])('refuses %s', (entry) => {
  expect(() => merge([], [entry])).toThrow(OrgError)
  expect(() => merge([entry], [])).toThrow('defaults.plugins[0]')
})

it.each(['code-review', 'a.b_c-1', 'github://org/repo', 'git+https://host/x.git'])(
  'takes %s, as a PluginInstall does',
  (source) => {
    expect(merge([source], []).result).toEqual([source])
    expect(pluginInstallKind.spec.safeParse({ source, targets: { names: ['a'] } }).error).toBeUndefined()
  },
)
