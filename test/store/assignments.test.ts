import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { adoptCommand } from '../../src/adopt-command.ts'
import { ConfigError } from '../../src/config.ts'
import { database } from '../support/database.ts'
import { eventsOf, fenceOf, given, intent, lease, rowOf } from './given.ts'

const url = await database()
const { store, sql } = given(url)
const fence = fenceOf(await store.leaders.begin(lease, 'test'))
const adopt = (...args: string[]) => adoptCommand(args, { DATABASE_URL: url })

async function left(name: string): Promise<ReturnType<typeof intent>['id']> {
  const { id } = intent()
  await sql(
    `INSERT INTO workspaces (id, name, runtime, model, namespace, resource_name, backend, observed_generation, spec_hash,
       leader_epoch, instance_id) VALUES ($1, $2, 'claude-code', 'm', '', '', 'process', 0, '', 0, 'c0ffee')`,
    id,
    name,
  )
  return id
}

test('a row is listed, assigned, adopted by that namespace alone, and then listed no more', async () => {
  expect(await adopt('--list')).toBe('no row is without an owner\n')
  const id = await left('Old \u001b[2J')
  const listed = await adopt('--list')
  expect(listed).toMatch(/^ROW +ASSIGNED TO +STATUS/)
  expect(listed).toContain(`${id}  -  `)
  expect(listed).toContain('c0ffee    "Old \ufffd[2J"')
  const [mine, theirs] = ['acme', 'other'].map((namespace) => intent({ namespace, adopts: id, claim: 'adopt' }))
  if (mine === undefined || theirs === undefined) throw new Error('two')
  expect(await store.workspaces.record(mine, fence)).toEqual({ kind: 'nothingToAdopt' })
  expect(await adopt(`--assign=${id}=acme`)).toBe(`row ${id} is assigned to acme\n`)
  expect(await adopt('--assign', `${id}=acme`)).toBe(`row ${id} is assigned to acme\n`)
  expect(await eventsOf(sql, id)).toEqual(['WORKSPACE_ASSIGNED'])
  expect(await adopt('--list')).toContain(`${id}  acme `)
  expect(await store.workspaces.record(theirs, fence)).toEqual({ kind: 'nothingToAdopt' })
  expect(rowOf(await store.workspaces.record(mine, fence)).id).toBe(id)
  expect(await adopt('--list')).toBe('no row is without an owner\n')
  await expect(adopt('--assign', `${id}=other`)).rejects.toThrow('belongs to a Workspace')
  await store.workspaces.remove(mine, fence, 'Retain')
  await expect(adopt('--assign', `${id}=other`)).rejects.toThrow('belongs to a Workspace')
})

test('what was assigned is taken back', async () => {
  const id = await left('Back')
  await adopt('--assign', `${id}=acme`)
  expect(await adopt('--unassign', id)).toBe(`row ${id} is assigned to no namespace\n`)
  expect(await store.workspaces.record(intent({ adopts: id, claim: 'adopt' }), fence)).toEqual({
    kind: 'nothingToAdopt',
  })
})

test('wrong words say what is wrong, and change nothing', async () => {
  const id = await left('Kept')
  const unknown = randomUUID()
  await expect(adopt('--assign', `${unknown}=acme`)).rejects.toThrow(`there is no row ${unknown}`)
  for (const [args, says] of [
    [[], 'adopt needs one of its own flags'],
    [['--assign'], '"" is none'],
    [['--assign', 'seven=acme'], '"seven" is none'],
    [['--assign', id], '"" is no name of a namespace'],
    [['--assign', `${id}=Not A Name`], '"Not A Name" is no name of a namespace'],
    [['--assign', `${id}=a=b`], '"a=b" is no name of a namespace'],
    [['--unassign', `${id}=acme`], 'takes a row alone'],
    [['--list', '--everything'], 'unknown argument "--everything"'],
  ] as const) {
    const refused = adopt(...args)
    await expect(refused, args.join(' ')).rejects.toThrow(says)
    await expect(refused).rejects.toThrow(ConfigError)
  }
  expect(await sql('SELECT assigned_namespace FROM workspaces WHERE id = $1', id)).toEqual([
    { assigned_namespace: null },
  ])
})
