import { describe, expect, test } from 'vitest'
import { oddities, orgTemplate } from './org-template.ts'

const told = (template: unknown) =>
  orgTemplate.safeParse(template).error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)

describe('orgTemplate', () => {
  test('reads a tree to any depth', () => {
    const template = { name: 'Acme', workspaces: [{ name: 'A', children: [{ name: 'B', children: [{ name: 'C' }] }] }] }
    expect(orgTemplate.parse(template)).toEqual(template)
  })

  test('takes null for absent', () => {
    const parsed = orgTemplate.parse({ workspaces: null, defaults: { tier: null }, required_env: null })
    expect(parsed.workspaces).toBeUndefined()
    expect(parsed.defaults?.tier).toBeUndefined()
  })

  test('keeps a y that YAML 1.1 read as true', () => {
    const parsed = orgTemplate.parse({ workspaces: [{ name: 'A', canvas: { x: 5, true: 40 } }] })
    expect(parsed.workspaces?.[0]?.canvas).toEqual({ x: 5, y: 40 })
  })

  test.each([
    [{ workspaces: { a: { name: 'A' } } }, 'workspaces: Invalid input: expected array'],
    [{ workspaces: [{ name: 'A', children: [{ role: 'x' }] }] }, 'workspaces.0.children.0.name: Invalid input'],
    [{ workspaces: [{ name: 'A', tier: 'high' }] }, 'workspaces.0.tier: Invalid input: expected number'],
    [{ workspaces: [{ name: 'A', tier: 9 }] }, 'workspaces.0.tier: Too big'],
    [{ workspaces: [{ name: 'A', external: 'maybe' }] }, 'workspaces.0.external: Invalid input: expected boolean'],
    [{ required_env: [{ any_of: [] }] }, 'required_env.0'],
  ])('refuses %j', (template, message) => {
    expect(told(template)?.join('\n')).toContain(message)
  })
})

test('oddities are the keys that nothing reads and the booleans of YAML 1.1, at every level', () => {
  const template = {
    org_name: 'Acme',
    defaults: { color: 'red', initial_memories: [{ content: 'x', kind: 'y' }] },
    workspaces: [
      {
        name: 'A',
        external: 'Yes',
        spawning: true,
        schedules: [{ cron: '* * * * *', enabled: 'off' }],
        children: [{ name: 'B', parent: 'A', canvas: { x: 1, z: 1, true: 2 }, channels: [{ env: {} }] }],
      },
    ],
    required_env: ['A', { any_of: ['B'], all_of: [] }],
  }
  expect(oddities(template).map(({ kind, path }) => `${kind} ${path.join('.')}`)).toEqual([
    'UnknownKey org_name',
    'UnknownKey defaults.color',
    'UnknownKey defaults.initial_memories.0.kind',
    'Yaml11Boolean workspaces.0.external',
    'UnknownKey workspaces.0.schedules.0.cron',
    'Yaml11Boolean workspaces.0.schedules.0.enabled',
    'UnknownKey workspaces.0.children.0.parent',
    'UnknownKey workspaces.0.children.0.canvas.z',
    'UnknownKey workspaces.0.children.0.channels.0.env',
    'UnknownKey required_env.1.all_of',
  ])
  expect(oddities('not a template')).toEqual([])
})

test.each([
  ['yes', true],
  ['Y', true],
  ['ON', true],
  ['No', false],
  ['off', false],
])('takes %s as YAML 1.1 does', (word, meant) => {
  expect(orgTemplate.parse({ workspaces: [{ name: 'A', external: word }] }).workspaces?.[0]?.external).toBe(meant)
})
