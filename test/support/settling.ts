import { expect } from 'vitest'
import type { Workspace } from '../../src/api/workspace.ts'
import { until } from './until.ts'
import { conditionOf } from './workspaces.ts'

/** Waits for a condition of the Workspace of that name, judged at its present generation: `Ready`, `True Settled`. */
export const settling =
  (get: (name: string) => Promise<Workspace>) =>
  (name: string, type: string, verdict: string, within = 30_000): Promise<Workspace> =>
    until(
      async () => {
        const found = await get(name)
        expect(found.status?.observedGeneration).toBe(found.metadata.generation)
        expect(conditionOf(found.status, type)).toBe(verdict)
        return found
      },
      { what: `${name} to be ${type}=${verdict}`, within },
    )
