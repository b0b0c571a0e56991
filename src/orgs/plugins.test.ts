import { expect, it } from 'vitest'
import { pluginInstallKind } from '../api/plugin-install.ts'
import { refuseBy } from './check.ts'
import { OrgError } from './org-error.ts'
import { mergePlugins } from './plugins.ts'

const merge = (defaults: readonly string[], own: readonly string[]) => {
  const idle: string[] = []
  const result = mergePlugins(
    { entries: defaults, at: ['defaults', 'plugins'] },
    { entries: own, at: ['workspaces', 0, 'plugins'] },
    refuseBy(() => undefined),
    (entry) => idle.push(entry),
  )
  return { result, idle }
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

it('hears of an opt-out that takes nothing away', () => {
  expect(merge(['!a', 'a'], ['!b', 'c', '-d'])).toEqual({ result: ['a', 'c'], idle: ['!a', '!b', '-d'] })
})

it.each(['../../x', 'A', 'a b', 'file:///a/../b', 'github://o/r#main', 'https://user@host/x', '!../x'])(
  'refuses %s',
  (entry) => {
    expect(() => merge([], [entry])).toThrow(OrgError)
    expect(() => merge([entry], [])).toThrow('defaults.plugins[0]')
  },
)

it.each(['code-review', 'a.b_c-1', 'github://org/repo', 'git+https://host/x.git'])(
  'takes %s, as a PluginInstall does',
  (source) => {
    expect(merge([source], []).result).toEqual([source])
    expect(pluginInstallKind.spec.safeParse({ source, targets: { names: ['a'] } }).error).toBeUndefined()
  },
)
