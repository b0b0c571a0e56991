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
import type { Report } from '../progress.ts'
import { removeAgents } from './agents.ts'

const prefix = 'molecule-demo-'
const recordName = 'demo.json'
const recordShape = z.object({
  owner: z.object({ pid: z.number().int(), start: z.string() }),
  /** Mark on every agent of the operator; absent until there is one, and so no agents. */
  operatorInstance: z.string().optional(),
})
type DemoRecord = z.infer<typeof recordShape>

/** From making the folder to writing the record, with time to spare. */
const unrecorded = 60_000

export class DemoFolder {
  readonly path: string
  #record: DemoRecord

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
  async noteOperator(operatorInstance: string): Promise<void> {
    this.#record = { ...this.#record, operatorInstance }
    await this.#write()
  }

  /** Every agent that the operator may have left. */
  async removeAgents(): Promise<void> {
    const { operatorInstance } = this.#record
    if (operatorInstance !== undefined) await removeAgents(agentsIn(this.path), operatorInstance)
  }

  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true })
  }

  async #write(): Promise<void> {
    const path = join(this.path, recordName)
    await writeFile(`${path}.new`, JSON.stringify(this.#record), { mode: 0o600 })
    await rename(`${path}.new`, path)
  }
}

/** Removes agents and folders of demos whose process is gone. Says so when there was one. */
export async function sweepEarlierDemos(report: Report): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(prefix)) continue
    const path = join(tmpdir(), name)
    const record = await readRecord(path)
    if (record ? await isAlive(record.owner) : await isYoung(path)) continue
    const agents = await removeWhatIsLeft(path, record)
    report(`removed what an earlier demo left: ${agents === 1 ? '1 agent' : `${String(agents)} agents`}, and ${path}`)
  }
}

async function removeWhatIsLeft(path: string, record: DemoRecord | undefined): Promise<number> {
  const instance = record?.operatorInstance
  const agents = instance === undefined ? 0 : await removeAgents(agentsIn(path), instance)
  await rm(path, { recursive: true, force: true })
  return agents
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
