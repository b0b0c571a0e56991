import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { DockerBackend, type DockerOptions } from '../../src/backends/docker/backend.ts'
import { buildNodeImage } from '../../src/dev/agent-image.ts'
import { gone, never } from '../contract/backend.contract.ts'
import { docker, engineAnswers, host } from './engine.ts'

/** Says what it finds at its start, in one line of JSON. */
export const probe = readFileSync(join(import.meta.dirname, '../contract/probe.mjs'), 'utf8')

export interface EngineScene {
  readonly operatorInstance: string
  readonly backend: DockerBackend
  /** Runs the program; empty where no engine answers. */
  readonly image: string
  /** A uid whose container, volumes and network are gone after the file. */
  readonly fresh: () => string
}

/** A backend of the file's own on the real engine, and an image whose containers run the program. */
export async function engineScene(
  name: string,
  program: string,
  options: Partial<DockerOptions> = {},
): Promise<EngineScene> {
  const operatorInstance = `${name}-${randomUUID()}`
  const backend = new DockerBackend({ host, operatorInstance, ...options })
  const image = engineAnswers ? await buildNodeImage({ docker, name: 'molecule-probe', program }) : ''
  const used: string[] = []
  afterAll(async () => {
    if (!engineAnswers) return
    for (const uid of used) await gone(backend, uid, 'delete')
    await backend.removeNetworks(never)
  }, 180_000)
  return { operatorInstance, backend, image, fresh: () => used[used.push(randomUUID()) - 1] ?? '' }
}
