/** What every backend must keep that can take over an instance which no operator made. */
import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { adoptedHash, unguarded, type Observation } from '../../src/backends/backend.ts'
import { Fenced } from '../../src/errors.ts'
import { gone, never, refOf, specOf, state, until, type Target } from './backend.contract.ts'

export interface TargetWithStrangers extends Target {
  /** Starts an instance that no operator made; gives back its id, and what takes it away whatever its name is by then. */
  stranger(): Promise<Stranger>
}

interface Stranger {
  readonly id: string
  end(): Promise<void>
}

const things = /^(container|process|instance)/

export function adoptionContract(name: string, open: () => Promise<TargetWithStrangers>): void {
  describe(`the ${name} backend and an instance that no operator made`, () => {
    let target: TargetWithStrangers
    let stranger: Stranger
    const used: string[] = []
    const fresh = () => used[used.push(randomUUID()) - 1] ?? ''

    beforeAll(async () => {
      target = await open()
    }, 180_000)
    afterAll(async () => {
      for (const uid of used) await gone(target.backend, uid, 'delete')
      await target.close()
    }, 180_000)
    beforeEach(async () => {
      stranger = await target.stranger()
    })
    afterEach(async () => await stranger.end())

    const adopted = async (backend = target.backend) => {
      const uid = fresh()
      const seen = await backend.adopt(refOf(uid), stranger.id, never, unguarded)
      expect(seen).toMatchObject({ state: 'running', id: stranger.id, specHash: adoptedHash })
      return { uid, since: (seen as Extract<Observation, { state: 'running' }>).startedAt }
    }

    test('is known by its own id, and by nothing else', async () => {
      expect(await target.backend.identify(stranger.id, never)).toMatchObject({ id: stranger.id })
      expect(await target.backend.identify('f'.repeat(64), never)).toBeUndefined()
      expect(await target.backend.identify('/', never)).toBeUndefined()
    })

    test('is taken over, once, as it runs', async () => {
      const { uid, since } = await adopted()
      expect(await target.backend.adopt(refOf(uid), stranger.id, never, unguarded)).toMatchObject({ startedAt: since })
      for (const backend of [target.backend, target.reopen()]) {
        expect(await backend.observe(refOf(uid), never)).toMatchObject({
          state: 'running',
          id: stranger.id,
          specHash: adoptedHash,
          startedAt: since,
        })
        expect(await backend.ensure(specOf(target.image, uid), never, unguarded)).toMatchObject({ id: stranger.id })
        const owned = await Array.fromAsync(backend.owned(never))
        expect(owned.filter(({ id }) => id === stranger.id)).toMatchObject([{ ref: refOf(uid) }])
      }
      expect((await target.things(uid)).filter((thing) => things.test(thing))).toHaveLength(1)
    })

    test('tells its death, and can be removed and replaced', async () => {
      const { uid } = await adopted()
      const stop = new AbortController()
      const told: string[] = []
      const reading = (async () => {
        for await (const ref of target.backend.changes(stop.signal))
          if (ref.uid === uid) told.push(`${ref.namespace}/${ref.name}`)
      })()
      const whole = `${refOf(uid).namespace}/${refOf(uid).name}`
      await until('the first list is told', async () => told.includes(whole))
      told.length = 0
      await target.kill(uid)
      await until('the death is told', async () => told.includes(whole))
      stop.abort()
      await reading
      expect(await state(target.backend, uid, 'exited')).toMatchObject({ specHash: adoptedHash })
      expect(await target.backend.logs(refOf(uid), 1000, never)).toBeTypeOf('string')
      await gone(target.backend, uid, 'keep')
      expect(await target.backend.observe(refOf(uid), never)).toEqual({ state: 'absent' })
      await target.backend.ensure(specOf(target.image, uid), never, unguarded)
      expect(await state(target.backend, uid, 'running')).toMatchObject({ specHash: 'hash-1' })
    })

    test('is left as it is by a process that may no longer act', async () => {
      const uid = fresh()
      const guard = () => {
        throw new Fenced('another leads')
      }
      const fenced = { name: 'Fenced' }
      await expect(target.backend.adopt(refOf(uid), stranger.id, never, guard)).rejects.toMatchObject(fenced)
      expect(await target.backend.observe(refOf(uid), never)).toEqual({ state: 'absent' })
    })

    test('belongs to one ref of one operator', async () => {
      const { uid } = await adopted()
      const foreign = target.foreign()
      const refusal = { name: 'Terminal', reason: 'AdoptionRefused' }
      const id = stranger.id
      await expect(target.backend.adopt(refOf(fresh()), id, never, unguarded)).rejects.toMatchObject(refusal)
      await expect(foreign.adopt(refOf(fresh()), id, never, unguarded)).rejects.toMatchObject(refusal)
      await expect(foreign.adopt(refOf(uid), id, never, unguarded)).rejects.toMatchObject(refusal)
      expect(await foreign.observe(refOf(uid), never)).toEqual({ state: 'absent' })
      expect(await foreign.remove(refOf(uid), 'delete', never, unguarded)).toBe('gone')
      expect((await Array.fromAsync(foreign.owned(never))).filter((each) => each.id === id)).toEqual([])
      expect(await state(target.backend, uid, 'running')).toMatchObject({ id })
    })

    test('is refused beside an instance that is there, as is what another operator made', async () => {
      const [uid, other] = [fresh(), fresh()]
      await target.backend.ensure(specOf(target.image, uid), never, unguarded)
      await target.foreign().ensure(specOf(target.image, other), never, unguarded)
      const { id } = await state(target.foreign(), other, 'running')
      const refusal = { name: 'Terminal', reason: 'AdoptionRefused' }
      await expect(target.backend.adopt(refOf(uid), stranger.id, never, unguarded)).rejects.toMatchObject(refusal)
      await expect(target.backend.adopt(refOf(fresh()), id, never, unguarded)).rejects.toMatchObject(refusal)
      expect(await state(target.foreign(), other, 'running')).toMatchObject({ id })
      await gone(target.foreign(), other, 'delete')
    })
  })
}
