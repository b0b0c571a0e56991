/** What each tier may use: the numbers of the operator's configuration, over those it ships with. */
import { z } from 'zod'
import { hostAccesses, type TierLimits } from './backend.ts'

export type Tier = '1' | '2' | '3' | '4'
export type Tiers = Readonly<Record<Tier, TierLimits>>

const mebibyte = 1024 * 1024

/** No way onto the host in any of them: that is for a configuration to say, aloud. */
export const defaultTiers: Tiers = {
  1: { memoryBytes: 512 * mebibyte, cpus: 0.5, pids: 256, readOnlyRoot: true, hostAccess: [], namespaces: [] },
  2: { memoryBytes: 512 * mebibyte, cpus: 1, pids: 512, readOnlyRoot: false, hostAccess: [], namespaces: [] },
  3: { memoryBytes: 2048 * mebibyte, cpus: 2, pids: 1024, readOnlyRoot: false, hostAccess: [], namespaces: [] },
  4: { memoryBytes: 4096 * mebibyte, cpus: 4, pids: 2048, readOnlyRoot: false, hostAccess: [], namespaces: [] },
}

const units: Readonly<Record<string, number>> = { Mi: mebibyte, Gi: 1024 * mebibyte }

const memory = z
  .string('must be a string like "512Mi" or "2Gi"')
  .regex(/^[1-9][0-9]{0,6}(Mi|Gi)$/, 'must be a whole number of Mi or Gi, like 512Mi or 2Gi')
  .transform((text) => Number(text.slice(0, -2)) * (units[text.slice(-2)] ?? mebibyte))
  .refine((bytes) => bytes >= 16 * mebibyte, 'must be at least 16Mi')

const change = z
  .strictObject({
    memory: memory.exactOptional(),
    disk: memory.exactOptional(),
    cpus: z
      .number('must be a number of CPUs')
      .min(0.01, 'must be at least 0.01')
      .max(1024, 'must be at most 1024')
      .exactOptional(),
    pids: z
      .int('must be a whole number')
      .min(16, 'must be at least 16')
      .max(1_000_000, 'must be at most 1000000')
      .exactOptional(),
    readOnlyRoot: z.boolean('must be true or false').exactOptional(),
    hostAccess: z
      .array(z.enum(hostAccesses, `must be one of ${hostAccesses.join(', ')}`), 'must be an array of words')
      .transform((words) => hostAccesses.filter((word) => words.includes(word)))
      .exactOptional(),
    namespaces: z
      .array(
        z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'must be the name of a namespace'),
        'must be an array of names',
      )
      .exactOptional(),
  })
  .superRefine(({ hostAccess = [], namespaces = [] }, ctx) => {
    // The author of a Workspace chooses its tier, and a way onto the host is the host's root.
    const example = '{"hostAccess":["EngineSocket"],"namespaces":["ops"]}'
    if (hostAccess.length > 0 && namespaces.length === 0)
      ctx.addIssue({ code: 'custom', path: ['hostAccess'], message: `needs the namespaces that get it: ${example}` })
    if (namespaces.length > 0 && hostAccess.length === 0)
      ctx.addIssue({
        code: 'custom',
        path: ['namespaces'],
        message: `say which get the hostAccess of the tier: ${example}`,
      })
  })

/** Changes by tier, as JSON: `{"4":{"memory":"8Gi","hostAccess":["EngineSocket"],"namespaces":["ops"]}}`. What is left out stays as it is. */
export const tiersFromJson = z
  .string()
  .transform((text, ctx): unknown => {
    try {
      return JSON.parse(text) as unknown
    } catch {
      ctx.addIssue({ code: 'custom', message: 'must be JSON by tier, like {"4":{"memory":"8Gi","cpus":4}}' })
      return z.NEVER
    }
  })
  .pipe(z.strictObject({ 1: change, 2: change, 3: change, 4: change }).partial())
  .transform((changes): Tiers => {
    const tier = (name: Tier): TierLimits => {
      const { memory: memoryBytes, disk: diskBytes, ...rest } = changes[name] ?? {}
      const sizes = { ...(memoryBytes !== undefined && { memoryBytes }), ...(diskBytes !== undefined && { diskBytes }) }
      return { ...defaultTiers[name], ...rest, ...sizes }
    }
    return { 1: tier('1'), 2: tier('2'), 3: tier('3'), 4: tier('4') }
  })
