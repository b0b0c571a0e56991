/** Incidents that a second place, a silent default or an outside agent caused. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { adminToken } from '../support/operator.ts'
import { orgImport } from '../support/orgs.ts'
import { until } from '../support/until.ts'
import { conditionOf, messageOf, runtime } from '../support/workspaces.ts'
import { openScene, restartAt } from './scene.ts'

const scene = await openScene({ env: { DEPLOYMENT_MODE: 'saas' } })
const { backend, make, settles, edit, row, ask, ns } = scene

const root = join(import.meta.dirname, '..', '..')
const sources = (folder: string) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => ({ file: `${folder}/${file}`, text: readFileSync(join(root, folder, file), 'utf8') }))
const holding = (folder: string, pattern: RegExp, except: RegExp = /\.test\.ts$/) =>
  sources(folder).flatMap(({ file, text }) => (!except.test(file) && pattern.test(text) ? [file] : []))

/** Whatever makes a row of a workspace, however it is written. */
const rowMaker =
  /\b(insert\s+into|merge\s+into|copy)\s+(only\s+)?(\w+\.)?"?workspaces"?(?!\w)|\(['"`]workspaces['"`]\)\s*\.insert/i

test('incident-09, org-import-07: one file makes rows of workspaces', () => {
  expect(holding('src', rowMaker)).toEqual(['src/store/postgres/record.ts'])
})

test('org-import-06: that rule finds what it is for, and nothing that only looks like it', () => {
  const bad = [
    'INSERT INTO workspaces AS w (id)',
    'insert into\n  public.workspaces (id)',
    'INSERT INTO "workspaces" (id)',
    "knex('workspaces').insert({})",
    'COPY workspaces FROM STDIN',
  ]
  expect(bad.filter((text) => !rowMaker.test(text))).toEqual([])
  const good = ['INSERT INTO workspaces_audit (id)', 'INSERT INTO workspace_schedules (id)', 'UPDATE workspaces w SET']
  expect(good.filter((text) => rowMaker.test(text))).toEqual([])
})

test('org-import-02: one file makes Workspaces, and only for an import', () => {
  const maker = /\.(apply|create)\(\s*(workspaceType|workspaceKind)|kind: 'Workspace',/
  expect(holding('src', maker, /\.test\.ts$|^src\/(api|dev|operator)/)).toEqual([
    'src/controllers/org-import/apply-child.ts',
    'src/controllers/org-import/children.ts',
  ])
})

test('org-import-03: to collapse is a matter of drawing', async () => {
  await make('folded')
  await make('under', { parentRef: { name: 'folded' } })
  const { uid } = (await settles('folded', 'Ready', 'True Settled')).metadata
  const below = await settles('under', 'Ready', 'True Settled')
  await edit('folded', { spec: { canvas: { x: 0, y: 0, collapsed: true } } })
  await until(async () => {
    const [drawn] = await scene.query('SELECT collapsed FROM canvas_layouts WHERE workspace_id = $1', [uid])
    return drawn?.['collapsed'] === true
  })
  for (const name of ['folded', 'under'])
    expect((await scene.looked(name)).status?.effectivePower?.state).toBe('Running')
  for (const id of [uid, below.metadata.uid]) {
    expect([backend.has(id), backend.creates.get(id)]).toEqual([true, 1])
    expect((await row(id))?.['status']).toBe('online')
  }
})

test('incident-30: a cascade takes the whole subtree, from its leaves', async () => {
  const chain = ['top', 'upper', 'lower', 'leaf']
  for (const [i, name] of chain.entries())
    await make(name, i > 0 ? { parentRef: { name: chain[i - 1] } } : { childrenPolicy: 'Cascade' })
  const uids = await Promise.all(chain.map(async (name) => (await settles(name, 'Ready', 'True Settled')).metadata.uid))
  await scene.remove('top')
  for (const name of chain) await scene.gone(name)
  for (const uid of uids) {
    expect((await row(uid))?.['status']).toBe('removed')
    expect([backend.has(uid), backend.volumes.has(uid)]).toEqual([false, false])
  }
})

test('incident-36: every way in has the same default tier', async () => {
  const inline = { name: 'Team', defaults: { runtime: scene.runtimeName }, workspaces: [{ name: 'Imported' }] }
  await ask(
    'POST',
    `/apis/molecule.dev/v1alpha1/namespaces/${ns}/orgimports`,
    orgImport(ns, 'team', { source: { inline } }),
  )
  await make('direct')
  await make('outside', { backend: 'external' })
  await settles('direct', 'Ready', 'True Settled')
  const names = ['Imported', 'direct', 'outside']
  await until(
    async () => {
      const rows = await scene.query('SELECT name, tier FROM workspaces WHERE name = ANY($1)', [names])
      expect(rows.map(({ tier }) => tier)).toEqual([4, 4, 4])
      return true
    },
    { what: 'three rows of tier 4', within: 30_000 },
  )
})

test('incident-37: the default tier is written in one place', () => {
  expect(holding('src', /\btier\s*(\?\?|=)\s*[1-4]\b|defaultTier\s*=/)).toEqual([
    'src/controllers/workspace/defaults.ts',
  ])
})

test('incident-40: a pinned image runs by its digest, and a Runtime that must be pinned is refused without', async () => {
  const digest = `sha256:${'a'.repeat(64)}`
  const runtimes = '/apis/molecule.dev/v1alpha1/runtimes'
  const loose = runtime('incident-loose', { requireDigest: true, image: 'test/agent:latest' })
  await expect(ask('POST', runtimes, loose)).rejects.toThrow(/requireDigest needs digest/)
  await ask('POST', runtimes, runtime('incident-pinned', { requireDigest: true, image: 'test/agent:latest', digest }))
  try {
    await make('pinned', { runtime: 'incident-pinned' })
    const { uid } = (await settles('pinned', 'Ready', 'True Settled')).metadata
    expect(scene.launched.filter(({ ref }) => ref.uid === uid).map(({ image }) => image)).toEqual([
      `test/agent@${digest}`,
    ])
  } finally {
    await ask('DELETE', `${runtimes}/incident-pinned`)
  }
})

test('incident-48, incident-35: an external agent keeps its token through a restart that is no use to it', async () => {
  await make('guest', { backend: 'external', delivery: 'poll' })
  const { uid } = (await settles('guest', 'Connected', 'False AwaitingRegistration')).metadata
  const asAdmin = { method: 'POST', headers: { authorization: `Bearer ${adminToken}` } }
  const minted = await fetch(`${scene.operator().platformUrl}/admin/workspaces/${uid}/tokens`, asAdmin)
  const { auth_token: token } = (await minted.json()) as { auth_token: string }
  expect(await scene.beat(uid, token)).toBe(200)
  await settles('guest', 'Ready', 'True Settled')
  await edit('guest', restartAt('now'))
  await edit('guest', { spec: { model: 'opus' } })
  await scene.looked('guest')
  await settles('guest', 'Ready', 'True Settled')
  expect(await scene.beat(uid, token)).toBe(200)
  expect(await row(uid)).toMatchObject({ status: 'online', restarts: 0, launched_at: null })
})

test('incident-50: no runtime gets the model of another', async () => {
  const codex = runtime('incident-codex', { models: [{ id: 'gpt-5-codex' }] })
  await scene.cluster.apply([codex])
  try {
    await make('coder', { runtime: 'incident-codex' })
    const refused = await settles('coder', 'RuntimeResolved', 'False ModelUnknown')
    expect(messageOf(refused.status, 'Ready')).toContain('it has gpt-5-codex')
    expect(backend.creates.has(refused.metadata.uid)).toBe(false)
    expect(await row(refused.metadata.uid)).toBeUndefined()
    await edit('coder', { spec: { model: 'gpt-5-codex' } })
    const { uid } = (await settles('coder', 'Ready', 'True Settled')).metadata

    // An agent that serves is left alone by what becomes of the catalog: it is ready, and says that it does not come back.
    await scene.cluster.apply([runtime('incident-codex', { models: [{ id: 'gpt-6-codex' }] })])
    const kept = await settles('coder', 'RuntimeResolved', 'False ModelUnknown')
    expect(conditionOf(kept.status, 'Ready')).toBe('True Settled')
    expect(conditionOf(kept.status, 'Stalled')).toBeUndefined()
    expect(kept.status?.summary).toBe(
      'Online, not launched again: runtime "incident-codex" no longer has model "gpt-5-codex"',
    )
    // Nor is it replaced, though it is asked to: nothing would come after it.
    await edit('coder', restartAt('now'))
    for (let looks = 0; looks < 3; looks++) await scene.looked('coder')
    expect([backend.creates.get(uid), backend.has(uid)]).toEqual([1, true])
    await settles('coder', 'Ready', 'True Settled')
    backend.kill(uid, 1)
    await settles('coder', 'Stalled', 'True ModelUnknown')
    expect([backend.creates.get(uid), backend.has(uid)]).toEqual([1, false])
    await scene.cluster.apply([runtime('incident-codex', { models: [{ id: 'gpt-6-codex' }, { id: 'gpt-5-codex' }] })])
    await settles('coder', 'Ready', 'True Settled')
  } finally {
    await scene.cluster.kubectl(['delete', 'runtime', 'incident-codex', '--wait=false'])
  }
})

test('incident-53: no test takes a module’s place', () => {
  expect(holding('test', /\bvi\.(mock|doMock|hoisted)\(/, /^$/)).toEqual([])
  expect(holding('src', /\bvi\.(mock|doMock|hoisted)\(/, /^$/)).toEqual([])
})

test('org-import-28: what is skipped is skipped for want of an engine or a program that judges, and says so', () => {
  const skips = sources('test').flatMap(({ text }) =>
    [...text.matchAll(/\b(?:describe|test|it)\.(?:skip|skipIf|runIf|only|todo|fails)\(.*/g)].map(([line]) => line),
  )
  expect(skips.length).toBeGreaterThan(0)
  // Docker and iptables; go, lua5.1 and promtool; clones of published templates; and a disk that can be filled.
  const wants = /engineAnswers|dockerAvailable|available|an engine of our own|mayFilter|hasGo|hasLua|absent|clones|disk/
  expect(skips.filter((line) => !wants.test(line))).toEqual([])
})

test('every incident of the two lists has a test, where the list says and by the name it says', () => {
  const list = readFileSync(join(root, 'docs', 'incidents.md'), 'utf8')
  const rows = [...list.matchAll(/^\| (\d+|org-import-\d+) \|.*\| ([^|]+) \|$/gm)]
  expect(rows.length).toBe(54 + 28)
  const missing = rows.flatMap(([, number = '', tests = '']) => {
    const id = number.startsWith('org') ? number : `incident-${number.padStart(2, '0')}`
    const named = [...tests.matchAll(/`(test\/[\w./-]+)`(?: \(([^)]+)\))?/g)]
    return named.flatMap(([, file = '', words = file.startsWith('test/incidents/') ? id : undefined]) => {
      const path = join(root, file)
      const there = words === undefined ? existsSync(path) : readFileSync(path, 'utf8').includes(words)
      return there ? [] : [`${id}: ${file} ${words ?? ''}`]
    })
  })
  expect(missing).toEqual([])
})
