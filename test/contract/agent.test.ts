/** The demo's agent as a process, in front of a platform that only takes notes. */
import { unguarded } from '../../src/backends/backend.ts'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ProcessBackend } from '../../src/backends/process/backend.ts'
import type { Backend } from '../../src/backends/backend.ts'
import { gone, never, refOf, specOf, state, until } from './backend.contract.ts'
import { openPlatform } from './platform.ts'

test('the agent registers against refusals, beats, answers, and ends when it is told', async () => {
  const stateDir = realpathSync(mkdtempSync(join(tmpdir(), 'molecule-agent-')))
  const platform = await openPlatform()
  const uid = randomUUID()
  const agent = join(import.meta.dirname, '../../examples/agent/agent.mjs')
  const backend: Backend = new ProcessBackend({
    stateDir,
    command: [process.execPath, agent],
    operatorInstance: 'agent',
  })
  try {
    platform.refuse(503, 1)
    platform.refuse(401, 1)
    const env = {
      WORKSPACE_ID: uid,
      WORKSPACE_NAME: 'Ada',
      MOLECULE_AGENT_ROLE: 'engineer',
      PLATFORM_URL: `http://127.0.0.1:${platform.port}/`,
      HEARTBEAT_SECONDS: '0.1',
    }
    await backend.ensure(specOf('', uid, env), never, unguarded)
    const { id, address } = await state(backend, uid, 'running')
    const { token, body } = await until('it registers', async () => platform.registered[0])
    expect(token).toBe(`token-of-${uid}`)
    expect(body).toMatchObject({
      id: uid,
      url: address,
      agent_card: { name: 'Ada', description: 'engineer', url: address },
    })
    const beat = await until('it beats', async () => platform.beats[0])
    expect(beat.body).toEqual({
      workspace_id: uid,
      active_tasks: 0,
      uptime_seconds: expect.any(Number),
      error_rate: 0,
      current_task: '',
    })
    const authorization = `Bearer secret-of-${uid}`
    const ask = async (text: string) =>
      (await fetch(address, { method: 'POST', body: text, headers: { connection: 'close', authorization } })).json()
    expect(await ask(platform.message('hello'))).toMatchObject({
      id: 1,
      result: { kind: 'message', role: 'agent', parts: [{ kind: 'text', text: 'Ada (engineer): hello' }] },
    })
    expect(await ask('{"jsonrpc":"2.0","id":2,"method":"nope"}')).toMatchObject({ id: 2, error: { code: -32_601 } })
    expect(await ask('{"jsonrpc":"2.0","id":3,"method":"message/send"}')).toMatchObject({ error: { code: -32_602 } })
    expect(await ask('not json')).toMatchObject({ error: { code: -32_700 } })
    expect(await (await fetch(`${address}/healthz`)).json()).toEqual({ status: 'ok' })
    const get = (path: string) => fetch(address + path, { headers: { authorization } })
    expect(await (await get('/.well-known/agent-card.json')).json()).toMatchObject({ name: 'Ada' })
    expect((await get('/elsewhere')).status).toBe(404)
    // Anyone else, a neighbour that forges a name among them, learns that something answers here and no more.
    const forged = { 'x-workspace-id': randomUUID() }
    const others = [{}, { authorization: '' }, { authorization: 'Bearer' }, { authorization: `Bearer token-of-${uid}` }]
    for (const more of others) {
      const headers = { ...forged, ...more }
      expect((await fetch(address, { method: 'POST', body: platform.message('hello'), headers })).status).toBe(401)
      expect((await fetch(`${address}/.well-known/agent-card.json`, { headers })).status).toBe(401)
    }
    // By the polite signal alone: remove() sends another after two seconds, which a slow machine may take.
    process.kill(Number(/^pid-(\d+)-/.exec(id)?.[1]), 'SIGTERM')
    expect(await state(backend, uid, 'exited')).toMatchObject({ exitCode: 0 })
    expect(await backend.logs(refOf(uid), 64_000, never)).not.toContain(`token-of-${uid}`)
  } finally {
    await gone(backend, uid, 'delete')
    platform.server.close()
    await once(platform.server, 'close')
    rmSync(stateDir, { recursive: true, force: true })
  }
})
