/**
 * The folder of one demo in the system's temporary folder. It says who made it and which operator ran in it, so that a
 * later demo can take away what one that was killed could not.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { isAlive, startOf } from '../../backends/process/process-table.ts'
import { reasonOf } from '../../errors.ts'
import type { Report } from '../progress.ts'
import { removeAgents } from './agents.ts'

const prefix = 'molecule-demo-'
const recordName = 'demo.json'
const recordShape = z.object({
  owner: z.object({ pid: z.number().int(), start: z.string() }),
  /** Mark on every agent of the operator; absent until there is one, and so no agents. */
  operatorInstance: z.string().optional(),
  /** Id of the Docker engine that its containers are on; absent where the agents are processes. */
  engine: z.string().optional(),
})
type DemoRecord = z.infer<typeof recordShape>

/** From making the folder to writing the record, with time to spare. */
const unrecorded = 60_000

export class DemoFolder {
  readonly path: string
  #record: DemoRecord
  /** Whether agents could not be removed: the record is then what the next demo finds them by. */
  #agentsAreLeft = false

  private constructor(path: string, record: DemoRecord) {
    this.path = path
    this.#record = record
  }

  static async create(): Promise<DemoFolder> {
    const path = join(tmpdir(), `${prefix}${randomBytes(4).toString('hex')}`)
    // PostgreSQL may run as another user, who has to get through; what is secret is closed one by one.
    await mkdir(path, { mode: 0o711 })
    const owner = { pid: process.pid, start: (await startOf(process.pid)) ?? '' }
    const folder = new DemoFolder(path, { owner })
    await folder.#write()
    return folder
  }

  /** To be called before the operator can start any agent. */
  async noteOperator(operatorInstance: string, engine: string | undefined): Promise<void> {
    this.#record = { ...this.#record, operatorInstance, ...(engine !== undefined && { engine }) }
    await this.#write()
  }

  /** Every agent that the operator may have left. Throws why it could not. */
  async removeAgents(): Promise<void> {
    this.#agentsAreLeft = true
    await removeLeft(this.path, this.#record)
    this.#agentsAreLeft = false
  }

  /** With all that is in it; but for the record of agents that could not be removed. */
  async remove(): Promise<void> {
    if (!this.#agentsAreLeft) return await rm(this.path, { recursive: true, force: true })
    await keepRecord(this.path)
    throw new Error(`the next demo removes the agents that were left, by ${this.path}`)
  }

  async #write(): Promise<void> {
    const path = join(this.path, recordName)
    await writeFile(`${path}.new`, JSON.stringify(this.#record), { mode: 0o600 })
    await rename(`${path}.new`, path)
  }
}

/**
 * Removes agents and folders of demos whose process is gone, and says so when there was one. Where the agents are out of
 * reach now, the record stays, and that is said: without it nothing would ever find them again.
 */
export async function sweepEarlierDemos(report: Report): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(prefix)) continue
    const path = join(tmpdir(), name)
    const record = await readRecord(path)
    if (record ? await isAlive(record.owner) : await isYoung(path)) continue
    try {
      const agents = record === undefined ? 0 : await removeLeft(path, record)
      await rm(path, { recursive: true, force: true })
      report(`removed what an earlier demo left: ${agents === 1 ? '1 agent' : `${String(agents)} agents`}, and ${path}`)
    } catch (error) {
      await keepRecord(path)
      report(`an earlier demo left agents that cannot be removed now: ${reasonOf(error)}; ${path} keeps their record`)
    }
  }
}

const removeLeft = async (path: string, { operatorInstance, engine }: DemoRecord): Promise<number> =>
  operatorInstance === undefined ? 0 : await removeAgents(agentsIn(path), operatorInstance, engine)

/** Everything else in the folder goes: keys and the database are of no more use. */
async function keepRecord(path: string): Promise<void> {
  const kept = new Set([join(path, recordName), agentsIn(path)])
  for (const name of await readdir(path))
    if (!kept.has(join(path, name))) await rm(join(path, name), { recursive: true, force: true })
}

/** Folder of the agents that are processes. */
export const agentsIn = (demoFolder: string): string => join(demoFolder, 'agents')

async function readRecord(path: string): Promise<DemoRecord | undefined> {
  try {
    return recordShape.parse(JSON.parse(await readFile(join(path, recordName), 'utf8')))
  } catch {
    return undefined
  }
}

/** A demo that has just begun has not written its record yet. */
async function isYoung(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined)
  return found !== undefined && Date.now() - found.mtimeMs < unrecorded
}
