import { expect, test } from 'vitest'
import type { Key } from '../../api/meta.ts'
import { Conflicts } from './conflicts.ts'
import { watchAroundOrgImports } from './controller.ts'

test('a ConfigMap with the label of an import wakes it in its own namespace alone: anybody can write the label', () => {
  const maps = new Map<unknown, (touched: object) => Iterable<Key>>()
  const source = { onChange: () => undefined, onState: () => undefined }
  const configMaps = { ...source }
  const byUid = (index: string, value: string) =>
    index === 'uid' && value === 'uid-of-team' ? [{ metadata: { namespace: 'ns', name: 'team' } }] : []
  const sources = {
    orgImports: { ...source, cache: { byIndex: byUid, values: () => [] } },
    workspaces: source,
    pluginInstalls: source,
    runtimes: source,
    fleet: source,
    data: { Secret: source, ConfigMap: configMaps },
    flux: { GitRepository: source, OCIRepository: source },
  }
  const watch = (of: unknown, map: (touched: object) => Iterable<Key>) => void maps.set(of, map)
  const around = { turns: { waiting: [] }, conflicts: new Conflicts() }
  watchAroundOrgImports({ watch } as never, sources as never, around as never)
  const woken = (key: string) => [...(maps.get(configMaps)?.({ key, mark: 'uid-of-team' }) ?? [])]
  expect(woken('ns/files')).toEqual(['ns/team'])
  expect(woken('attacker/files')).toEqual([])
})
