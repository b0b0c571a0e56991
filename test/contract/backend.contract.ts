/** What every backend must keep, whatever it is made of. Each verb is called twice: none may care. */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { unguarded, type Backend, type InstanceSpec, type Observation } from '../../src/backends/backend.ts'
import { Fenced } from '../../src/errors.ts'
import { never, refOf, specOf } from './spec.ts'

/** One place where instances live, and ways to look at it that do not go through the backend. */
export interface Target {
  readonly backend: Backend
  /** The same place seen by a restarted operator. */
  reopen(): Backend
  /** The same place seen by another operator. */
  foreign(): Backend
  /** What the instances run: an image that runs `probe.ts`, where the backend asks for one. */
  readonly image: string
  /** Ends the instance from outside; gives back when (performance.now) that was done. */
  kill(uid: string): Promise<number>
  /** A reference to an image that is nowhere. Absent where instances need none. */
  readonly missingImage?: string
  /** Everything of that uid that exists, in words: `container`, `volume configs`, `process 4242`, `folder`. */
  things(uid: string): Promise<string[]>
  close(): Promise<void>
}

export { never, refOf, specOf }

/** Polls until `probe` gives something other than undefined or false, or fails after `within` ms. */
export async function until<T>(what: string, probe: () => Promise<T | undefined | false>, within = 30_000): Promise<T> {
  const end = performance.now() + within
  for (;;) {
    const found = await probe()
    if (found !== undefined && found !== false) return found
    if (performance.now() > end) throw new Error(`not within ${within} ms: ${what}`)
    await sleep(20)
  }
}

export const state = <S extends Observation['state']>(backend: Backend, uid: string, wanted: S) =>
  until(`${uid} is ${wanted}`, async () => {
    const seen = await backend.observe(refOf(uid), never)
    return seen.state === wanted && (seen as Extract<Observation, { state: S }>)
  })

/** What the probe found, once the whole line is there. */
export const probeLine = (log: string): string | undefined => /^probe (.*)\n/m.exec(log)?.[1]

export const gone = (backend: Backend, uid: string, volumes: 'keep' | 'delete') =>
  until(`${uid} is gone`, async () => (await backend.remove(refOf(uid), volumes, never, unguarded)) === 'gone')

/** Loosely: clocks are set now and then, but none by an hour. */
const isRecent = (at: Date): boolean => Math.abs(Date.now() - at.getTime()) < 3_600_000

export function backendContract(name: string, open: () => Promise<Target>): void {
  describe(`the ${name} backend`, () => {
    let target: Target
    const used: string[] = []
    const fresh = () => used[used.push(randomUUID()) - 1] ?? ''
    const said = (uid: string) => target.backend.logs(refOf(uid), 64_000, never)

    beforeAll(async () => {
      target = await open()
    }, 180_000)
    afterAll(async () => {
      for (const uid of used) await gone(target.backend, uid, 'delete')
      await target.close()
    }, 180_000)

    test('nothing there is absent, gone, and has no output', async () => {
      const uid = fresh()
      for (let twice = 0; twice < 2; twice++) {
        expect(await target.backend.observe(refOf(uid), never)).toEqual({ state: 'absent' })
        expect(await target.backend.remove(refOf(uid), 'delete', never, unguarded)).toBe('gone')
        expect(await target.backend.logs(refOf(uid), 1000, never)).toBe('')
      }
    })

    test('an instance runs, once, and finds files and token in place at its first instruction', async () => {
      const uid = fresh()
      const first = await target.backend.ensure(specOf(target.image, uid), never, unguarded)
      const again = await target.backend.ensure(specOf(target.image, uid), never, unguarded)
      expect(first).toHaveProperty('id')
      expect(again).toMatchObject({ id: (first as { id: string }).id })
      const running = await state(target.backend, uid, 'running')
      expect(running).toMatchObject({ id: (first as { id: string }).id, specHash: 'hash-1' })
      expect(isRecent(running.startedAt)).toBe(true)
      const report = await until('the probe speaks', async () => probeLine(await said(uid)))
      expect(JSON.parse(report)).toMatchObject({
        token: `token-of-${uid}`,
        tokenMode: '600',
        secret: `secret-of-${uid}`,
        secretMode: '600',
        config: 'name: probe\n',
        prompt: 'Be kind.\n',
        promptMode: '600',
        starts: 1,
      })
      expect((await target.things(uid)).filter((thing) => /^(container|process|instance)/.test(thing))).toHaveLength(1)
    })

    test('another desired state changes nothing while the old instance is there', async () => {
      const uid = fresh()
      const first = await target.backend.ensure(specOf(target.image, uid), never, unguarded)
      const other = { ...specOf(target.image, uid), specHash: 'hash-2' }
      expect(await target.backend.ensure(other, never, unguarded)).toMatchObject({ id: (first as { id: string }).id })
      expect(await state(target.backend, uid, 'running')).toMatchObject({ specHash: 'hash-1' })
    })

    test('an operator that starts anew adopts what runs, and sees it in owned()', async () => {
      const uid = fresh()
      const first = await target.backend.ensure(specOf(target.image, uid), never, unguarded)
      const reopened = target.reopen()
      expect(await reopened.ensure(specOf(target.image, uid), never, unguarded)).toMatchObject({
        id: (first as { id: string }).id,
      })
      const seen = await Array.fromAsync(reopened.owned(never))
      expect(seen.filter(({ ref }) => ref.uid === uid)).toMatchObject([{ ref: refOf(uid) }])
      expect((await target.things(uid)).filter((thing) => /^(container|process|instance)/.test(thing))).toHaveLength(1)
    })

    test('a death is told within 250 ms and observed as exited', { timeout: 180_000 }, async () => {
      const stop = new AbortController()
      const listed = new Set<string>()
      const toldAt = new Map<string, number>()
      const reading = (async () => {
        for await (const ref of target.backend.changes(stop.signal)) {
          listed.add(ref.uid)
          if (toldAt.has(ref.uid)) continue
          if ((await target.backend.observe(ref, never)).state === 'exited') toldAt.set(ref.uid, performance.now())
        }
      })()
      const delays: number[] = []
      const late = () => delays.filter((delay) => delay >= 250).length
      // A busy machine is late now and then, a poller as a rule: one of the two has to lead.
      for (let lead = 0; lead < 3 && lead > -8; lead = delays.length - 2 * late()) {
        const uid = fresh()
        await target.backend.ensure(specOf(target.image, uid), never, unguarded)
        await state(target.backend, uid, 'running')
        await until('the reader is told that it is there', async () => listed.has(uid))
        const killedAt = await target.kill(uid)
        delays.push((await until('the death is told', async () => toldAt.get(uid))) - killedAt)
        for (let twice = 0; twice < 2; twice++)
          expect(await target.backend.observe(refOf(uid), never)).toMatchObject({ state: 'exited', specHash: 'hash-1' })
      }
      expect(late(), `told after ${delays.map(Math.round).join(', ')} ms`).toBeLessThan(delays.length / 2)
      stop.abort()
      await reading
    })

    test('an instance that ends by itself leaves its code and its last words', async () => {
      const uid = fresh()
      await target.backend.ensure(specOf(target.image, uid, { PROBE_EXIT: '3' }), never, unguarded)
      const seen = await state(target.backend, uid, 'exited')
      expect(seen).toMatchObject({ exitCode: 3, detail: expect.stringContaining('exit code 3') })
      expect(isRecent(seen.finishedAt)).toBe(true)
      await until('its last words', async () => (await said(uid)).includes('leaving with 3'))
      expect(await target.backend.logs(refOf(uid), 10, never)).toHaveLength(10)
      expect(await target.backend.ensure(specOf(target.image, uid), never, unguarded)).toMatchObject({
        state: 'exited',
      })
    })

    test('volumes that are kept are there for the next instance; deleted ones are not', async () => {
      const uid = fresh()
      const starts = async () =>
        until('the probe speaks', async () => /"starts":(\d+)(?!.*"starts")/s.exec(await said(uid))?.[1])
      await target.backend.ensure(specOf(target.image, uid), never, unguarded)
      await starts()
      await gone(target.backend, uid, 'keep')
      expect(await target.backend.remove(refOf(uid), 'keep', never, unguarded)).toBe('gone')
      expect(await target.backend.observe(refOf(uid), never)).toEqual({ state: 'absent' })
      expect((await target.things(uid)).filter((thing) => /^(container|process|instance)/.test(thing))).toEqual([])
      expect((await Array.fromAsync(target.backend.owned(never))).filter(({ ref }) => ref.uid === uid)).toEqual([])

      await target.backend.ensure({ ...specOf(target.image, uid), specHash: 'hash-2' }, never, unguarded)
      expect(await state(target.backend, uid, 'running')).toMatchObject({ specHash: 'hash-2' })
      await until('the second start is counted', async () => (await starts()) === '2')
      await gone(target.backend, uid, 'delete')
      expect(await target.backend.remove(refOf(uid), 'delete', never, unguarded)).toBe('gone')
      expect(await target.things(uid)).toEqual([])
    })

    test('sessions outlive a replacement where they are asked for; a reset empties them, and nothing else', async () => {
      const uid = fresh()
      const keeping = { ...specOf(target.image, uid), sessionsPath: '/srv/kept/sessions' }
      const launched = async (spec: InstanceSpec, starts: number) => {
        await target.backend.ensure(spec, never, unguarded)
        const found = await until(`start ${starts}`, async () => {
          const last = probeLine((await said(uid)).slice((await said(uid)).lastIndexOf('probe {')))
          const report = last === undefined ? undefined : (JSON.parse(last) as { starts: number; sessions?: number })
          return report?.starts === starts && report
        })
        await gone(target.backend, uid, 'keep')
        return found.sessions
      }
      expect(await launched(keeping, 1)).toBe(1)
      expect(await launched(keeping, 2)).toBe(2)
      expect(await launched(specOf(target.image, uid), 3)).toBeUndefined()
      expect(await target.foreign().resetSessions(keeping, never, unguarded)).toBe('kept')
      const fenced = () => {
        throw new Fenced('another leads')
      }
      await expect(target.backend.resetSessions(keeping, never, fenced)).rejects.toMatchObject({ name: 'Fenced' })
      expect(await launched(keeping, 4)).toBe(3)
      for (let twice = 0; twice < 2; twice++) await target.backend.resetSessions(keeping, never, unguarded)
      expect(await launched(keeping, 5)).toBe(1)
      // Each reset that has a name is done once, also where others came in between.
      const reset = (sessionReset: string) =>
        target.backend.resetSessions({ ...keeping, sessionReset }, never, unguarded)
      expect([await reset('first'), await reset('first')]).toEqual(['emptied', 'kept'])
      expect(await launched(keeping, 6)).toBe(1)
      expect([await reset('second'), await reset('first')]).toEqual(['emptied', 'kept'])
      expect(await launched(keeping, 7)).toBe(1)
      expect([await reset('first'), await reset('second')]).toEqual(['kept', 'kept'])
      expect(await launched(keeping, 8)).toBe(2)
      await gone(target.backend, uid, 'delete')
      expect(await target.things(uid)).toEqual([])
      await target.backend.resetSessions(keeping, never, unguarded)
      expect(await target.things(uid)).toEqual([])
    })

    test('volumes go even when the instance went before', async () => {
      const uid = fresh()
      await target.backend.ensure(specOf(target.image, uid), never, unguarded)
      await gone(target.backend, uid, 'keep')
      expect(await target.things(uid)).not.toEqual([])
      await gone(target.backend, uid, 'delete')
      expect(await target.things(uid)).toEqual([])
    })

    test('what is done to one uid never touches another', async () => {
      const [one, other] = [fresh(), fresh()]
      await target.backend.ensure(specOf(target.image, one), never, unguarded)
      const kept = await target.backend.ensure(specOf(target.image, other), never, unguarded)
      await gone(target.backend, one, 'delete')
      expect(await state(target.backend, other, 'running')).toMatchObject({ id: (kept as { id: string }).id })
    })

    test("another operator's instance of that name is never adopted, listed, read or removed", async () => {
      const uid = fresh()
      const foreign = target.foreign()
      const theirs = await foreign.ensure(specOf(target.image, uid), never, unguarded)
      const before = await until('it is there to be seen', async () => {
        const things = await target.things(uid)
        return things.some((thing) => /^(container|process|instance)/.test(thing)) && things
      })
      expect(await target.backend.observe(refOf(uid), never)).toEqual({ state: 'absent' })
      await expect(target.backend.ensure(specOf(target.image, uid), never, unguarded)).rejects.toMatchObject({
        name: 'Terminal',
        reason: 'NameTaken',
        message: expect.stringContaining(`ws-${uid}`),
      })
      expect(await target.backend.remove(refOf(uid), 'delete', never, unguarded)).toBe('gone')
      expect(await target.backend.logs(refOf(uid), 1000, never)).toBe('')
      expect((await Array.fromAsync(target.backend.owned(never))).filter(({ ref }) => ref.uid === uid)).toEqual([])
      expect(await target.things(uid)).toEqual(before)
      expect(await state(foreign, uid, 'running')).toMatchObject({ id: (theirs as { id: string }).id })
      await gone(foreign, uid, 'delete')
    })

    test('an image that is there is prepared, any number of times, and one that is nowhere is told', async () => {
      const spec = specOf(target.image, fresh())
      for (let twice = 0; twice < 2; twice++) await target.backend.prepare(spec, never)
      const { missingImage: image } = target
      if (image === undefined) return
      const uid = fresh()
      const refusal = { name: 'Terminal', reason: 'ImageMissing', message: expect.stringContaining(`"${image}"`) }
      for (let twice = 0; twice < 2; twice++) {
        await expect(target.backend.prepare({ image }, never)).rejects.toMatchObject(refusal)
        await expect(target.backend.ensure(specOf(image, uid), never, unguarded)).rejects.toMatchObject(refusal)
      }
      expect(await target.things(uid)).toEqual([])
    })

    test('what does not exist is not adopted', async () => {
      const uid = fresh()
      for (let twice = 0; twice < 2; twice++)
        await expect(target.backend.adopt(refOf(uid), 'f'.repeat(64), never, unguarded)).rejects.toMatchObject({
          name: 'Terminal',
          reason: 'AdoptionRefused',
        })
      expect(await target.backend.observe(refOf(uid), never)).toEqual({ state: 'absent' })
    })

    test('a process that may no longer act changes nothing, wherever in a call it learns of that', async () => {
      const after = (times: number) => {
        let left = times
        return () => {
          if (left-- <= 0) throw new Fenced('another leads')
        }
      }
      const fenced = { name: 'Fenced', message: 'another leads' }
      const uid = fresh()
      await expect(target.backend.ensure(specOf(target.image, uid), never, after(0))).rejects.toMatchObject(fenced)
      expect(await target.things(uid)).toEqual([])
      for (let times = 1; ; times++) {
        const done = await target.backend.ensure(specOf(target.image, uid), never, after(times)).catch(String)
        if (typeof done !== 'string') break
        expect(done).toBe('Fenced: another leads')
        expect((await target.backend.observe(refOf(uid), never)).state).toMatch(/absent|created/)
      }
      const { id } = await state(target.backend, uid, 'running')
      for (const volumes of ['keep', 'delete'] as const)
        await expect(target.backend.remove(refOf(uid), volumes, never, after(0))).rejects.toMatchObject(fenced)
      expect(await state(target.backend, uid, 'running')).toMatchObject({ id })
    })

    test.each(['../../etc/passwd', '.auth_token', '.platform_inbound_secret'])(
      'the file %s is refused and nothing is made',
      async (path) => {
        const uid = fresh()
        const spec = { ...specOf(target.image, uid), files: [{ path, content: 'x' }] }
        await expect(target.backend.ensure(spec, never, unguarded)).rejects.toMatchObject({ name: 'Terminal' })
        expect(await target.things(uid)).toEqual([])
      },
    )
  })
}
