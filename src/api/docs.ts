/** The reference docs of all kinds, from the same CRDs that the API server gets: docs/api.md. */
import { crdOf } from './crd.ts'
import type { StructuralSchema } from './structural.ts'
import type { KindDefinition } from './kind.ts'
import { apiVersion } from './meta.ts'

/** One field, with its path below spec or status: `env[].valueFrom.secretKeyRef.name`. */
interface Field {
  readonly path: string
  readonly schema: StructuralSchema
  readonly required: boolean
}

/** All fields below a schema, parents before what is in them. */
function fieldsBelow(schema: StructuralSchema, path: string): Field[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, inner]) => {
    const at = path === '' ? name : `${path}.${name}`
    const field = { path: at, schema: inner, required: schema.required?.includes(name) ?? false }
    const [element, mark] = elementOf(inner)
    return [field].concat(fieldsBelow(element, `${at}${mark}`))
  })
}

function elementOf(schema: StructuralSchema): [StructuralSchema, string] {
  if (schema.items) return [schema.items, '[]']
  if (schema.additionalProperties) return [schema.additionalProperties, '.*']
  return [schema, '']
}

function typeOf(schema: StructuralSchema): string {
  if (schema.items) return `[]${typeOf(schema.items)}`
  if (schema.additionalProperties) return `map of ${typeOf(schema.additionalProperties)}`
  if (schema.enum) return schema.enum.map(String).join(' \\| ')
  if (schema.format === 'date-time') return 'time'
  return schema.type ?? 'any'
}

/** What a value must keep to beside its type, in few words. */
function limitsOf(schema: StructuralSchema): string {
  const { minimum, maximum, minLength, maxLength, minItems, maxItems, maxProperties, pattern } = schema
  const span = (least: number | undefined, most: number | undefined, what: string) =>
    most === undefined || most > 1e9 ? [] : [least === undefined ? `≤ ${most}${what}` : `${least}–${most}${what}`]
  const limits = [
    ...span(minimum, maximum, ''),
    ...(schema.format === 'date-time' ? [] : span(minLength, maxLength, ' characters')),
    ...span(minItems, maxItems, ' items'),
    ...span(undefined, maxProperties, ' entries'),
    ...(pattern === undefined || pattern.length > 60 ? [] : [`\`${pattern.replaceAll('|', '\\|')}\``]),
  ]
  return limits.join(', ')
}

const cell = (text: string): string => text.replaceAll('\n', ' ').replaceAll(/(?<!\\)\|/g, '\\|')

function describe({ path, schema, required }: Field, kind: KindDefinition): string {
  const waiting = kind.unsupported.filter(({ field }) => field === path)
  const values = waiting.flatMap(({ value }) => value ?? [])
  const mark = values.length > 0 ? `**${values.join(', ')}: not acted on yet.**` : '**Not acted on yet.**'
  return [schema.description ?? '', required ? 'Required.' : '', waiting.length > 0 ? mark : '']
    .filter((part) => part !== '')
    .join(' ')
}

function table(schema: StructuralSchema, kind: KindDefinition, marked: boolean): string {
  const rows = fieldsBelow(schema, '').map((field) => {
    const preset = field.schema.default === undefined ? '' : `\`${JSON.stringify(field.schema.default)}\``
    const about = marked ? describe(field, kind) : (field.schema.description ?? '')
    return `| \`${field.path}\` | ${typeOf(field.schema)} | ${preset} | ${limitsOf(field.schema)} | ${cell(about)} |`
  })
  return ['| Field | Type | Default | Limits | Meaning |', '| --- | --- | --- | --- | --- |', ...rows].join('\n')
}

function rulesOf(root: StructuralSchema): string {
  const spec = root.properties?.['spec'] ?? {}
  const places = [
    { path: '', schema: root },
    { path: 'spec', schema: spec },
    ...fieldsBelow(spec, 'spec').flatMap((field) => {
      const element = elementOf(field.schema)
      return element[1] === '' ? [field] : [field, { path: `${field.path}${element[1]}`, schema: element[0] }]
    }),
  ]
  return places
    .flatMap(({ path, schema }) =>
      (schema['x-kubernetes-validations'] ?? []).map(
        ({ message }) => `- \`${path === '' ? 'metadata' : path}\`: ${message}`,
      ),
    )
    .join('\n')
}

function section(kind: KindDefinition): string {
  const root = crdOf(kind).spec.versions[0]?.schema.openAPIV3Schema ?? {}
  const { spec = {}, status = {} } = root.properties ?? {}
  const scope = kind.namespaced ? 'in a namespace' : 'cluster-scoped'
  const columns = kind.columns.map(({ name, priority }) =>
    priority === 1 ? `(${name.toUpperCase()})` : name.toUpperCase(),
  )
  return [
    `## ${kind.kind}`,
    `${kind.description} \`${apiVersion}\`, ${scope}, \`kubectl get ${kind.shortNames.join(',')}\`.`,
    `Columns, those in brackets with \`-o wide\`: ${columns.join(', ')}.`,
    `### ${kind.kind} spec`,
    table(spec, kind, true),
    `### ${kind.kind} rules`,
    rulesOf(root),
    `### ${kind.kind} status`,
    table(status, kind, false),
  ].join('\n\n')
}

/** The whole page. */
export function referenceOf(kinds: readonly KindDefinition[]): string {
  const opening = [
    '# Reference of the custom resources',
    'Generated by `npm run generate` from `src/api`: do not edit. `kubectl explain` says the same.',
    'A field marked as not acted on yet is accepted and kept; an object that uses it says so in its condition `Unsupported`.',
  ]
  return `${[...opening, ...kinds.map(section)].join('\n\n')}\n`
}
