import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { Ending, Interrupted, whenToEnd } from './ending.ts'

class Process extends EventEmitter {
  stdout = new EventEmitter() as EventEmitter & Pick<NodeJS.WriteStream, 'on'>
  stderr = new EventEmitter() as EventEmitter & Pick<NodeJS.WriteStream, 'on'>
  exits: number[] = []
  exit(code: number) {
    this.exits.push(code)
  }
}

const eio = Object.assign(new Error('write EIO'), { code: 'EIO' })

test('a closed terminal, a reader that is gone and a lost error each end it in order', () => {
  const causes: Readonly<Record<string, (around: Process) => void>> = {
    SIGINT: (around) => around.emit('SIGINT'),
    SIGTERM: (around) => around.emit('SIGTERM'),
    SIGHUP: (around) => around.emit('SIGHUP'),
    stdout: ({ stdout }) => stdout.emit('error', eio),
    stderr: ({ stderr }) => stderr.emit('error', eio),
  }
  for (const cause of Object.values(causes)) {
    const around = new Process()
    const ending = whenToEnd(around)
    expect(ending.aborted).toBe(false)
    cause(around)
    expect(ending.reason).toBeInstanceOf(Interrupted)
  }
  const around = new Process()
  const ending = whenToEnd(around)
  const lost = new Error('lost')
  around.emit('uncaughtException', lost)
  expect(ending.reason).toBe(lost)
})

test('writes to a dead terminal are lost, however many, and a hang-up asks for no hurry', () => {
  const around = new Process()
  let now = 0
  whenToEnd(around, () => now)
  around.emit('SIGINT')
  now = 900
  // npm passes it on.
  around.emit('SIGINT')
  now = 1_100
  around.emit('SIGHUP')
  around.stdout.emit('error', eio)
  around.stdout.emit('error', eio)
  expect(around.exits).toEqual([])
  around.emit('SIGINT')
  expect(around.exits).toEqual([130])
})

test('every step is taken, the last one first, whatever becomes of the others', async () => {
  const said: string[] = []
  const taken: string[] = []
  const ending = new Ending({ say: (line) => said.push(line), show: () => {}, release: () => {} })
  for (const what of ['a', 'b', 'c'])
    ending.add(`undo ${what}`, async () => {
      taken.push(what)
      if (what === 'b') throw new Error('stuck')
    })
  expect(await ending.run()).toBe(false)
  expect(taken).toEqual(['c', 'b', 'a'])
  expect(said).toEqual(['  could not undo b: stuck'])
})
