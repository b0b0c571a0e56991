import { describe, expect, test } from 'vitest'
import { orgTemplate, unknownKeys } from './org-template.ts'

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
    [{ workspaces: [{ name: 'A', external: 'yes' }] }, 'workspaces.0.external: Invalid input: expected boolean'],
    [{ required_env: [{ any_of: [] }] }, 'required_env.0'],
  ])('refuses %j', (template, message) => {
    expect(told(template)?.join('\n')).toContain(message)
  })
})

test('unknownKeys finds what nothing reads, at every level', () => {
  const template = {
    org_name: 'Acme',
    defaults: { color: 'red' },
    workspaces: [{ name: 'A', children: [{ name: 'B', parent: 'A', canvas: { x: 1 } }] }],
  }
  expect(unknownKeys(template)).toEqual([
    { at: 'org_name', key: 'org_name' },
    { at: 'defaults.color', key: 'color' },
    { at: 'workspaces[0].children[0].parent', key: 'parent' },
  ])
  expect(unknownKeys('not a template')).toEqual([])
})
