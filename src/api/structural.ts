/** zod → the structural form of OpenAPI v3 that the API server takes, and that statuses are fitted to. */
import { z } from 'zod'

/** The part of OpenAPI v3 that a structural schema may use. */
export interface StructuralSchema {
  readonly description?: string
  readonly type?: string
  readonly default?: unknown
  readonly format?: string
  readonly enum?: readonly unknown[]
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly maxProperties?: number
  readonly properties?: Readonly<Record<string, StructuralSchema>>
  readonly additionalProperties?: StructuralSchema
  readonly items?: StructuralSchema
  readonly required?: readonly string[]
  readonly 'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map'
  readonly 'x-kubernetes-list-map-keys'?: readonly string[]
  readonly 'x-kubernetes-preserve-unknown-fields'?: true
  readonly 'x-kubernetes-validations'?: readonly { readonly rule: string; readonly message: string }[]
}

/** In the order in which they are written. A keyword that is not here does not reach the CRD. */
const keywords = [
  'description',
  'type',
  'format',
  'default',
  'enum',
  'pattern',
  'minimum',
  'maximum',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'maxProperties',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-preserve-unknown-fields',
  'x-kubernetes-validations',
  'required',
] as const satisfies readonly (keyof StructuralSchema)[]

/** What zod may say that has no structural form, so that dropping it would make the CRD laxer than the type. */
const refused = ['anyOf', 'oneOf', 'allOf', 'not', '$ref', 'prefixItems', 'const', 'nullable'] as const

type JsonSchema = Readonly<Record<string, unknown>>
const isSchema = (value: unknown): value is JsonSchema => typeof value === 'object' && value !== null

/** `at` is for the error alone: it stops the generator, never the operator. */
function structural(schema: JsonSchema, at: string): StructuralSchema {
  const bad = refused.find((keyword) => keyword in schema)
  if (bad !== undefined) throw new Error(`${at}: "${bad}" has no structural form`)
  const kept = Object.fromEntries(
    keywords.filter((keyword) => schema[keyword] !== undefined).map((keyword) => [keyword, schema[keyword]]),
  )
  // zod bounds every integer by what a double holds exactly: true, and noise.
  for (const bound of ['minimum', 'maximum']) if (Math.abs(Number(kept[bound])) >= 2 ** 53 - 1) delete kept[bound]
  const { properties, items, additionalProperties: values } = schema
  const preserves = 'x-kubernetes-preserve-unknown-fields' in kept
  return {
    ...kept,
    ...(isSchema(items) && { items: structural(items, `${at}[]`) }),
    ...(isSchema(values) && !preserves && { additionalProperties: structural(values, `${at}.*`) }),
    ...(isSchema(properties) && Object.keys(properties).length > 0 && { properties: fieldsOf(properties, at) }),
  }
}

const fieldsOf = (properties: JsonSchema, at: string): Record<string, StructuralSchema> =>
  Object.fromEntries(
    Object.entries(properties).map(([name, field]) => [
      name,
      structural(isSchema(field) ? field : {}, `${at}.${name}`),
    ]),
  )

/** Input form: a field with a default may be left out. */
export const schemaOf = (schema: z.ZodObject, at: string): StructuralSchema =>
  structural(z.toJSONSchema(schema, { target: 'openapi-3.0', io: 'input' }) as JsonSchema, at)
