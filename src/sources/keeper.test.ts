import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { minutes, seconds } from '../duration.ts'
import { Keeper, type Fetch } from './keeper.ts'
import { SourceError, type Fetched, type GitRequest } from './source.ts'

const git = (url: string): GitRequest => ({
  kind: 'git',
  url,
  ref: { kind: 'default' },
  path: '',
  interval: minutes(10),
})
const fetched = (revision: string): Fetched => ({
  revision,
  files: new Map([['org.yaml', Buffer.from(revision)]]),
  skipped: new Map(),
})

/** A keeper over answers that the test gives. */
function keeping(fetch: Fetch, atOnce = 4) {
  const woken: string[] = []
  const keeper = new Keeper({ fetch, wake: (follower) => woken.push(follower), time: seconds(60), atOnce })
  const shown = (url: string, follower = 'a', slot?: string) => {
    const sight = keeper.look(git(url), follower, slot)
    if (sight.state === 'failed') return `failed ${sight.error.fault}`
    return sight.state === 'fetching' ? 'fetching' : `${sight.folder.revision}${sight.trouble ? '!' : ''}`
  }
  const wakes = () => woken.splice(0)
  return { keeper, shown, wakes }
}
const settle = async () => {
  for (let i = 0; i < 5; i++) await turn()
}

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => vi.useRealTimers())

describe('the keeper of sources', () => {
  it('fetches once for all who look, and wakes them when it is there', async () => {
    let fetches = 0
    const { shown, wakes } = keeping(async () => fetched(`r${++fetches}`))
    expect([shown('x', 'a'), shown('x', 'b')]).toEqual(['fetching', 'fetching'])
    await settle()
    expect(wakes()).toEqual(['a', 'b'])
    expect([shown('x', 'a'), shown('x', 'b'), fetches]).toEqual(['r1', 'r1', 1])
  })

  it('looks for something newer every interval, and wakes nobody when there is nothing', async () => {
    const known: (string | undefined)[] = []
    let head = 'r1'
    const { shown, wakes } = keeping(async (_, before) => {
      known.push(before)
      return before === head ? 'unchanged' : fetched(head)
    })
    shown('x')
    await settle()
    wakes()
    for (const expected of [[], ['a']]) {
      vi.advanceTimersByTime(minutes(11))
      expect(wakes()).toEqual(['a'])
      expect(shown('x')).toBe('r1')
      await settle()
      expect(wakes()).toEqual(expected)
      head = 'r2'
    }
    expect(shown('x')).toBe('r2')
    expect(known).toEqual([undefined, 'r1', 'r1'])
  })

  it('looks again when its timer says so, though the clock is behind it after a long turn', async () => {
    let asked = 0
    const { shown, wakes } = keeping(async () => fetched(`r${++asked}`))
    shown('x')
    await settle()
    wakes()
    const behind = vi.spyOn(performance, 'now').mockReturnValue(performance.now())
    vi.advanceTimersByTime(minutes(11))
    expect(wakes()).toEqual(['a'])
    shown('x')
    await settle()
    expect(asked).toBe(2)
    behind.mockRestore()
  })

  it('keeps what it had while the source is away, says so, and asks later and later', async () => {
    let away = false
    let asked = 0
    const { shown, wakes } = keeping(async () => {
      asked++
      if (away) throw new SourceError('SourceUnreachable', 'away')
      return fetched('r1')
    })
    shown('x')
    await settle()
    away = true
    vi.advanceTimersByTime(minutes(11))
    shown('x')
    await settle()
    expect(shown('x')).toBe('r1!')
    wakes()
    const before = asked
    for (let at = 0; at < minutes(10); at += seconds(1)) {
      vi.advanceTimersByTime(seconds(1))
      if (wakes().length > 0) shown('x')
      await settle()
    }
    // 1 + 2 + 4 + … + 256 s, then five minutes.
    expect(asked - before).toBeGreaterThanOrEqual(8)
    expect(asked - before).toBeLessThanOrEqual(10)
  })

  it('says why there is nothing, and tries what only a person can mend no oftener than asked', async () => {
    let asked = 0
    const { shown } = keeping(async () => {
      asked++
      throw new SourceError('AuthFailed', 'no')
    })
    shown('x')
    await settle()
    expect(shown('x')).toBe('failed AuthFailed')
    vi.advanceTimersByTime(minutes(4))
    shown('x')
    expect(asked).toBe(1)
    vi.advanceTimersByTime(minutes(2))
    shown('x')
    expect(asked).toBe(2)
  })

  it('fetches a few at once, so that one slow server holds up no other', async () => {
    const waiting: (() => void)[] = []
    let running = 0
    const { shown } = keeping(async () => {
      running++
      await new Promise<void>((resolve) => waiting.push(resolve))
      running--
      return fetched('r')
    }, 2)
    for (const url of ['x', 'y', 'z']) shown(url, `${url}/org`)
    await settle()
    expect(running).toBe(2)
    waiting.shift()?.()
    await settle()
    expect([shown('x', 'x/org'), shown('z', 'z/org'), running]).toEqual(['r', 'fetching', 2])
  })

  it('lets no namespace have all the fetches, and gives the next to the one that has the fewest', async () => {
    const begun: string[] = []
    const ends: (() => void)[] = []
    const { shown } = keeping(async (request) => {
      begun.push(request.kind === 'git' ? request.url : request.kind)
      await new Promise<void>((resolve) => ends.push(resolve))
      return fetched('r')
    }, 3)
    for (const url of ['a1', 'a2', 'a3', 'a4', 'a5']) shown(url, `greedy/${url}`)
    expect(begun).toEqual(['a1', 'a2'])
    shown('b1', 'modest/b1')
    shown('b2', 'modest/b2')
    shown('c1', 'late/c1')
    expect(begun).toEqual(['a1', 'a2', 'b1'])
    ends.shift()?.()
    await settle()
    expect(begun).toEqual(['a1', 'a2', 'b1', 'c1'])
    ends.splice(1, 1)[0]?.()
    await settle()
    expect(begun).toEqual(['a1', 'a2', 'b1', 'c1', 'b2'])
  })

  it('fetches nothing for who left while he waited', async () => {
    const asked: string[] = []
    const { promise, resolve } = Promise.withResolvers<Fetched>()
    const { keeper, shown } = keeping(async (request) => {
      asked.push(request.kind === 'git' ? request.url : request.kind)
      return await promise
    }, 1)
    for (const url of ['x', 'y', 'z']) shown(url, url)
    keeper.retain('y', new Set())
    resolve(fetched('r'))
    await settle()
    expect(asked).toEqual(['x', 'z'])
  })

  it('reads an archive once: its bytes stay what they are', async () => {
    let reads = 0
    const { keeper, wakes } = keeping(async () => fetched(`r${++reads}`))
    const archive = { kind: 'archive', identity: 'a 1', revision: '1', path: '', bytes: () => Buffer.alloc(0) } as const
    keeper.look(archive, 'a')
    await settle()
    wakes()
    vi.advanceTimersByTime(minutes(600))
    expect(keeper.look(archive, 'a')).toMatchObject({ state: 'fetched', folder: { revision: 'r1', identity: 'a 1 ' } })
    await settle()
    expect([reads, wakes()]).toEqual([1, []])
  })

  it('forgets what nobody looks at, slot by slot', async () => {
    let fetches = 0
    const { keeper, shown } = keeping(async () => fetched(`r${++fetches}`))
    shown('x', 'a')
    shown('y', 'a', 'other')
    await settle()
    keeper.retain('a', new Set(['']))
    expect(shown('x', 'a')).toBe('r1')
    expect(shown('y', 'a', 'other')).toBe('fetching')
    shown('z', 'a')
    expect(shown('x', 'a', 'again')).toBe('fetching')
  })

  it('ends what runs when the operator ends', async () => {
    const seen: AbortSignal[] = []
    const { keeper, shown, wakes } = keeping(async (_, __, signal) => {
      seen.push(signal)
      return await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('ended'))))
    })
    shown('x')
    const end = new AbortController()
    const run = keeper.run(end.signal)
    end.abort()
    await run
    await settle()
    expect([seen[0]?.aborted, wakes()]).toEqual([true, []])
  })

  it('takes texts and names the rest', async () => {
    const files = new Map<string, Uint8Array>([
      ['a.md', Buffer.from('\ufeffä')],
      ['b.png', Buffer.from([0x89, 0x50, 0xff])],
      ['c.bin', Buffer.from('a\0b')],
      ['model.txt', Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n')],
    ])
    const { keeper } = keeping(async () => ({
      revision: 'r',
      files,
      skipped: new Map([['CLAUDE.md', 'it is a symbolic link']]),
    }))
    keeper.look(git('x'), 'a')
    await settle()
    const sight = keeper.look(git('x'), 'a')
    expect(sight.state === 'fetched' && [...sight.folder.skipped]).toEqual([
      ['CLAUDE.md', 'it is a symbolic link'],
      ['b.png', 'it is not UTF-8 text'],
      ['c.bin', 'it is not UTF-8 text'],
      ['model.txt', 'it is a pointer of Git LFS: the file itself is kept elsewhere'],
    ])
    expect(sight.state === 'fetched' && [...sight.folder.texts]).toEqual([['a.md', '\ufeffä']])
    expect(files.size).toBe(0)
  })
})
