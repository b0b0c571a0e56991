/** Every reason is declared, and every declared one is given somewhere: read off the source. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseSync } from '@swc/core'
import { expect, test } from 'vitest'
import { eventReasons, orgImportReasons, pluginInstallReasons, runtimeReasons, workspaceReasons } from './reasons.ts'

const src = join(import.meta.dirname, '..')
const declared = new Set(
  [workspaceReasons, orgImportReasons, runtimeReasons, pluginInstallReasons, eventReasons].flatMap(Object.keys),
)

interface Node {
  readonly type: string
  readonly [key: string]: unknown
}
const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'

/** What a file says, of texts that could be a reason. */
interface Said {
  /** As a value of any kind: not a type, not a key, not what something is compared with. */
  readonly values: Set<string>
  /** Where only a reason can stand. */
  readonly reasons: Set<string>
}

/** `${kind}Missing` is one of each. */
const kinds = ['Secret', 'ConfigMap']
const camelCase = /^[A-Z][A-Za-z]+$/

function textsOf(node: unknown): string[] {
  if (!isNode(node)) return []
  switch (node.type) {
    case 'StringLiteral':
      return camelCase.test(String(node['value'])) ? [String(node['value'])] : []
    case 'TemplateLiteral': {
      const [first, last] = (node['quasis'] as readonly { cooked: string }[]).map(({ cooked }) => cooked)
      return first === '' && last !== undefined && camelCase.test(last) ? kinds.map((kind) => `${kind}${last}`) : []
    }
    case 'ConditionalExpression':
      return [...textsOf(node['consequent']), ...textsOf(node['alternate'])]
    case 'TsAsExpression':
    case 'TsConstAssertion':
    case 'ParenthesisExpression':
      return textsOf(node['expression'])
    default:
      return []
  }
}

function walk(node: unknown, said: Said): void {
  if (Array.isArray(node)) return node.forEach((one) => walk(one, said))
  if (typeof node !== 'object' || node === null) return
  if (!isNode(node)) return Object.values(node).forEach((one) => walk(one, said))
  for (const text of textsOf(node)) said.values.add(text)
  const given = Array.isArray(node['arguments']) ? (node['arguments'] as readonly { expression: Node }[]) : undefined
  const args = given?.map(({ expression }) => expression)
  const callee = node['callee'] as Node | undefined
  if (node.type === 'NewExpression' && callee?.['value'] === 'Terminal')
    for (const text of textsOf(args?.[0])) said.reasons.add(text)
  if (node.type === 'CallExpression' && args !== undefined) {
    const at = args.findIndex(({ value }) => value === 'Normal' || value === 'Warning')
    if (at >= 0) for (const text of textsOf(args[at + 1])) said.reasons.add(text)
  }
  if (node.type === 'KeyValueProperty' && (node['key'] as Node)['value'] === 'reason')
    for (const text of textsOf(node['value'])) said.reasons.add(text)
  for (const [name, inner] of Object.entries(node)) {
    if (/^(typeAnnotation|typeParams|typeParameters|typeArguments|returnType)$/.test(name)) continue
    if (node.type === 'SwitchCase' && name === 'test') continue
    if (node.type === 'KeyValueProperty' && name === 'key') continue
    if (
      node.type === 'BinaryExpression' &&
      /^[!=]==?$/.test(String(node['operator'])) &&
      isNode(inner) &&
      textsOf(inner).length > 0
    )
      continue
    walk(inner, said)
  }
}

/** Types are what the compiler checks already. */
const isType = ({ type }: { type: string }) => /^Ts(TypeAlias|Interface)Declaration$|^ImportDeclaration$/.test(type)

function saidBy(code: string): Said {
  const said: Said = { values: new Set(), reasons: new Set() }
  const { body } = parseSync(code, { syntax: 'typescript', target: 'es2024' })
  for (const statement of body as unknown as readonly (Node & { declaration?: Node })[])
    if (!isType(statement.declaration ?? statement)) walk(statement, said)
  return said
}

function everythingSaid(): Said {
  const all: Said = { values: new Set(), reasons: new Set() }
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter(
    (path) => path.endsWith('.ts') && !/\.test\.ts$|\.d\.ts$|^dev\/|^api\/reasons\.ts$/.test(path),
  )
  expect(files.length).toBeGreaterThan(100)
  for (const file of files) {
    const { values, reasons } = saidBy(readFileSync(join(src, file), 'utf8'))
    for (const text of values) all.values.add(text)
    for (const text of reasons) all.reasons.add(text)
  }
  return all
}

const said = everythingSaid()

test('every declared reason is given somewhere', () => {
  expect([...declared].filter((reason) => !said.values.has(reason))).toEqual([])
})

test('every reason that is given is declared', () => {
  expect([...said.reasons].filter((reason) => !declared.has(reason)).toSorted()).toEqual([])
})

test('the reading of the source tells values from what is not given', () => {
  const { values, reasons } = saidBy(`
    type T = 'InAType'
    const f = (x: 'InAnnotation') => x === 'Compared' ? { reason: 'InProperty', other: 'InOther' } : undefined
    switch (y) { case 'InCase': throw new Terminal('InTerminal', 'a message') }
    const map = { AsKey: 'AsValue' }
    ctx.event('Warning', a ? 'InEvent' : 'InElse', 'said')
    lacks.push({ reason: \`\${kind}Gone\` })`)
  expect([...reasons].toSorted()).toEqual([
    'ConfigMapGone',
    'InElse',
    'InEvent',
    'InProperty',
    'InTerminal',
    'SecretGone',
  ])
  expect([...values].toSorted()).toEqual([...reasons, 'AsValue', 'InOther', 'Warning'].toSorted())
})
