/** The demo's agent in a real container: registers through the host's gateway and answers at its published port. */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { afterAll, describe, expect, test } from 'vitest'
import { DockerBackend } from '../../src/backends/docker/backend.ts'
import { buildAgentImage } from '../../src/dev/agent-image.ts'
import { gone, never, specOf, state, until } from '../contract/backend.contract.ts'
import { openPlatform } from '../contract/platform.ts'
import { docker, engineAnswers, host } from './engine.ts'

describe.skipIf(!engineAnswers)('with an engine', () => {
  const backend = new DockerBackend({ host, operatorInstance: `agent-${randomUUID()}` })
  const uid = randomUUID()

  afterAll(async () => {
    await gone(backend, uid, 'delete')
    await backend.removeNetworks(never)
  })

  test('a second build of the image is a look', async () => {
    const first = await buildAgentImage({ docker })
    expect(first).toMatch(/^molecule-agent:[0-9a-f]{12}$/)
    const { Id } = await docker.getImage(first).inspect()
    expect(await buildAgentImage({ docker })).toBe(first)
    // One that is built anew has another id, by its time.
    expect(await docker.getImage(first).inspect()).toMatchObject({ Id })
  })

  test.each([true, false])('the agent registers, beats and answers; read-only root: %s', async (readOnlyRoot) => {
    const platform = await openPlatform('0.0.0.0')
    try {
      const env = {
        WORKSPACE_ID: uid,
        WORKSPACE_NAME: 'Design Director',
        MOLECULE_AGENT_ROLE: 'Sets directions',
        PLATFORM_URL: `http://host.docker.internal:${platform.port}`,
        HEARTBEAT_SECONDS: '0.1',
      }
      const spec = specOf(await buildAgentImage({ docker }), uid, env)
      await backend.ensure({ ...spec, limits: { ...spec.limits, readOnlyRoot } }, never)
      const { address } = await state(backend, uid, 'running')
      const registered = await until('it registers', async () => platform.registered.at(-1))
      expect(registered).toMatchObject({ token: spec.token, body: { id: uid, url: `http://ws-${uid}:8000` } })
      await until('it beats', async () => platform.beats.length > 1)
      const ask = (headers: Record<string, string>) =>
        fetch(address, { method: 'POST', body: platform.message('hello'), headers })
      expect((await ask({ 'x-workspace-id': randomUUID() })).status).toBe(401)
      const answer = await ask({ authorization: `Bearer secret-of-${uid}` })
      expect(await answer.text()).toContain('Design Director (Sets directions): hello')
      await docker.getContainer(`ws-${uid}`).kill({ signal: 'SIGTERM' })
      expect(await state(backend, uid, 'exited')).toMatchObject({ exitCode: 0 })
      await gone(backend, uid, 'delete')
    } finally {
      platform.server.close()
      await once(platform.server, 'close')
    }
  })
})
