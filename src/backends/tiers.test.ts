import { expect, test } from 'vitest'
import { readConfig } from '../config.ts'
import { defaultTiers } from './tiers.ts'

const read = (tiers?: unknown) =>
  readConfig([], { DATABASE_URL: 'postgres://h/d', ...(tiers !== undefined && { TIERS: JSON.stringify(tiers) }) }).TIERS

test('without a setting the tiers are those it ships with, and none has a way onto the host', () => {
  expect(read()).toEqual(defaultTiers)
  expect(Object.values(defaultTiers).flatMap(({ hostAccess }) => hostAccess)).toEqual([])
})

test('what a change leaves out stays as it is', () => {
  const tiers = read({
    4: { memory: '8Gi', hostAccess: ['EngineSocket', 'HostPID', 'EngineSocket'], namespaces: ['ops'] },
    1: { cpus: 0.25 },
  })
  expect(tiers).toEqual({
    ...defaultTiers,
    1: { ...defaultTiers[1], cpus: 0.25 },
    4: { ...defaultTiers[4], memoryBytes: 8 * 1024 ** 3, hostAccess: ['HostPID', 'EngineSocket'], namespaces: ['ops'] },
  })
})

test.each([
  [{ 5: {} }, /TIERS .*"5"/],
  [{ 1: { mem: '1Gi' } }, /TIERS\.1 .*"mem"/],
  [{ 1: { memory: '1G' } }, /TIERS\.1\.memory must be a whole number of Mi or Gi/],
  [{ 1: { memory: 512 } }, /TIERS\.1\.memory must be a string like "512Mi"/],
  [{ 1: { memory: '15Mi' } }, /TIERS\.1\.memory must be at least 16Mi/],
  [{ 2: { cpus: 0 } }, /TIERS\.2\.cpus must be at least 0.01/],
  [{ 2: { pids: 1.5 } }, /TIERS\.2\.pids must be a whole number/],
  [
    { 3: { hostAccess: ['Root'] } },
    /TIERS\.3\.hostAccess\.0 must be one of Privileged, HostPID, HostNetwork, EngineSocket/,
  ],
  [{ 3: { readOnlyRoot: 'yes' } }, /TIERS\.3\.readOnlyRoot must be true or false/],
  [
    { 4: { hostAccess: ['EngineSocket'] } },
    /TIERS\.4\.hostAccess needs the namespaces that get it: \{.*"namespaces":\["ops"\]/,
  ],
  [{ 4: { hostAccess: ['EngineSocket'], namespaces: [] } }, /TIERS\.4\.hostAccess needs the namespaces/],
  [
    { 4: { hostAccess: ['EngineSocket'], namespaces: ['*'] } },
    /TIERS\.4\.namespaces\.0 must be the name of a namespace/,
  ],
  [{ 4: { namespaces: ['ops'] } }, /TIERS\.4\.namespaces say which get the hostAccess/],
  ['no table', /TIERS /],
])('%j is refused by its name', (tiers, message) => {
  expect(() => read(tiers)).toThrow(message)
})

test('what is no JSON is refused', () => {
  expect(() => readConfig(['--tiers', '{'], { DATABASE_URL: 'postgres://h/d' })).toThrow(/TIERS must be JSON by tier/)
})
