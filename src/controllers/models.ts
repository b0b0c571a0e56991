/** Which model of a Runtime is meant, and whether the Runtime has it. Pure. */
import type { RuntimeSpec } from '../api/runtime.ts'

interface Named extends Pick<RuntimeSpec, 'defaultModel' | 'models'> {
  readonly name: string
}

/** Never empty: the spec's, else the Runtime's, else what the runtime's name implies. */
export function modelOf(spec: string | undefined, { name, defaultModel }: Omit<Named, 'models'>): string {
  if (spec !== undefined && spec !== '') return spec
  if (defaultModel !== undefined && defaultModel !== '') return defaultModel
  return name === 'claude-code' ? 'sonnet' : 'anthropic:claude-opus-4-7'
}

/** The models of the Runtime where the wanted one is not among them; undefined where it is, or where all are allowed. */
export function insteadOf(model: string, { models = [] }: Pick<Named, 'models'>): string | undefined {
  if (models.length === 0 || models.some(({ id }) => id === model)) return undefined
  return models.map(({ id }) => id).join(', ')
}
