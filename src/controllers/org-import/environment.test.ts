import { describe, expect, it } from 'vitest'
import { owner } from '../../../test/support/org-plan.ts'
import type { OrgImportSpec } from '../../api/org-import.ts'
import { renderOrg } from '../../orgs/tree.ts'
import { createReferences } from '../references.ts'
import { findEnvironment } from './environment.ts'

type Data = Readonly<Record<string, Readonly<Record<string, string>>>>

function find(template: object, spec: Partial<OrgImportSpec>, secrets: Data) {
  const references = createReferences((kind, _namespace, name) => {
    const data = secrets[name]
    if (data === undefined) return { state: 'missing' }
    if (kind === 'ConfigMap') return { state: 'found', object: { data } as never }
    const encoded = Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')])
    return { state: 'found', object: { data: Object.fromEntries(encoded) } as never }
  })
  return findEnvironment(owner(spec), renderOrg({ kind: 'inline', template }, { importUid: 'u' }), references)
}
function found(...args: Parameters<typeof find>) {
  const result = find(...args)
  if ('waits' in result) throw new Error(result.message)
  return result
}
const from = (...names: string[]) => ({ env: { from: names.map((name) => ({ secretRef: { name } })) } })
const own = (node: string, name: string) => ({ node, secretRef: { name } })

const team = {
  required_env: ['KEY'],
  workspaces: [{ name: 'A', required_env: [{ any_of: ['ONE', 'TWO'] }], children: [{ name: 'B' }] }],
}

describe('the environment of a tree', () => {
  it('is what was asked for and has a value, for every node', () => {
    const { of, secretsOf } = found(team, from('keys'), { keys: { KEY: 'k', TWO: 't', ONE: '', OTHER: 'o' } })
    expect([...of('A/B').keys()]).toEqual(['KEY', 'TWO'])
    expect(secretsOf('A/B')).toEqual([])
  })

  it('names each variable that is missing, and who asks for it', () => {
    expect(find(team, from('keys'), { keys: { KEY: '' } })).toMatchObject({
      reason: 'RequiredEnvMissing',
      waits: false,
      missing: ['KEY (asked for by the template)', 'ONE or TWO (asked for by A)'],
    })
  })

  it('reads nothing from the environment of the operator', () => {
    process.env['KEY'] = process.env['ONE'] = 'ours'
    try {
      expect(find(team, {}, {})).toMatchObject({ reason: 'RequiredEnvMissing' })
    } finally {
      delete process.env['KEY']
      delete process.env['ONE']
    }
  })
})

describe('Secrets for single nodes', () => {
  const spec = { ...from('keys'), secretsFrom: [own('*', 'all'), own('A', 'a')] }
  const secrets = { keys: { KEY: 'k', ONE: 'shared' }, all: { X: 'x' }, a: { ONE: 'own', GITHUB_TOKEN: 't' } }

  it('reach those alone, whole, and win over what all get', () => {
    const { of, secretsOf } = found(team, spec, secrets)
    expect([secretsOf('A'), secretsOf('A/B')]).toEqual([['all', 'a'], ['all']])
    expect([[...of('A').keys()], [...of('A/B').keys()]]).toEqual([
      ['KEY', 'ONE'],
      ['KEY', 'ONE'],
    ])
    expect([of('A').get('ONE')?.name, of('A/B').get('ONE')?.name]).toEqual(['a', 'keys'])
  })

  it('give a token of a code host by its name to who asks for it, and to nobody else', () => {
    const twins = { workspaces: [{ name: 'A', required_env: ['GITHUB_TOKEN'] }, { name: 'B' }] }
    const { of, secretsOf } = found(twins, { secretsFrom: [own('A', 'a'), own('B', 'a')] }, secrets)
    expect([...of('A')]).toEqual([['GITHUB_TOKEN', { kind: 'Secret', name: 'a', key: 'GITHUB_TOKEN' }]])
    expect([[...of('B')], secretsOf('B')]).toEqual([[], ['a']])
  })

  it('satisfy what their own node asks for, and no other', () => {
    const twins = { workspaces: ['A', 'B'].map((name) => ({ name, required_env: ['TOKEN'] })) }
    const given = { secretsFrom: [own('A', 'a')] }
    expect(find(twins, given, { a: { TOKEN: 't' } })).toMatchObject({ missing: ['TOKEN (asked for by B)'] })
  })

  it('of a node that does not exist are told of', () => {
    const { warnings } = found({ workspaces: [{ name: 'A' }] }, { secretsFrom: [own('Z', 'none')] }, {})
    expect(warnings).toMatchObject([{ code: 'UnknownNode', path: 'Z' }])
  })
})

describe('a key that no template may have', () => {
  const asks = (name: string) => ({ required_env: [name], workspaces: [{ name: 'A' }] })
  it.each([
    ['GITHUB_TOKEN', from('s')],
    ['DATABASE_URL', from('s')],
    ['MOLECULE_OPERATOR_X', from('s')],
    ['DATABASE_URL', { secretsFrom: [own('A', 's')] }],
    ['GITHUB_TOKEN', { secretsFrom: [own('*', 's')] }],
    ['GITHUB_PAT', { secretsFrom: [own('A', 's')] }],
    ['RAILWAY_TOKEN', from('s')],
  ])('%s', (name, spec) => {
    expect(find(asks(name), spec, { s: { [name]: 'value' } })).toMatchObject({ reason: 'ForbiddenKey', waits: false })
  })

  it('stays where it is when nobody asks for it, and may be trusted to one node', () => {
    expect('waits' in find(asks('KEY'), from('s'), { s: { KEY: 'k', GITHUB_TOKEN: 't' } })).toBe(false)
    const trusted = { workspaces: [{ name: 'A', required_env: ['GITHUB_TOKEN'] }] }
    expect('waits' in find(trusted, { secretsFrom: [own('A', 's')] }, { s: { GITHUB_TOKEN: 't' } })).toBe(false)
  })
})

it('tells the value of a variable that a node mounts, where it is in a ConfigMap, and of no other', () => {
  const mounts = (variable: string) => ({
    name: 'A',
    workspace_dir: `\${${variable}}/a`,
    workspace_access: 'read_only',
  })
  const data = { plain: { DIR: '/srv/x\n', OTHER: 'o' }, hidden: { SECRET_DIR: '/srv/s' } }
  const spec = { env: { from: [{ configMapRef: { name: 'plain' } }, { secretRef: { name: 'hidden' } }] } }
  const { text, of } = found({ workspaces: [mounts('DIR')] }, spec, data)
  expect([text('A', 'DIR'), text('A', 'OTHER')]).toEqual(['/srv/x', undefined])
  // It is put into the folder, and given to no agent.
  expect([...of('A').keys()]).toEqual([])
  expect(found({ workspaces: [mounts('SECRET_DIR')] }, spec, data).text('A', 'SECRET_DIR')).toBeUndefined()
})
