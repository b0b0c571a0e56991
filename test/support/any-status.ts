/** Statuses with any text and number that an agent, engine, image or template could bring. */
import * as fc from 'fast-check'
import type { StructuralSchema } from '../../src/api/structural.ts'

const anyText = fc.oneof(
  { weight: 8, arbitrary: fc.string({ unit: 'binary', maxLength: 60 }) },
  {
    weight: 4,
    arbitrary: fc.constantFrom('\u001B[2J\u202Egpj.exe', 'a\nb', '\uD800', '\0', '\u001B]0;pwned\u0007', ''),
  },
  { weight: 1, arbitrary: fc.constantFrom('x', '😀', '\u0301').map((unit) => unit.repeat(40_000)) },
)

/** Values of a schema, but for its texts and numbers: those are anything. */
export function anyStatus(schema: StructuralSchema): fc.Arbitrary<unknown> {
  const { type, enum: words, format, pattern, items, properties = {}, required = [], additionalProperties } = schema
  switch (type) {
    case 'string':
      if (words !== undefined) return fc.constantFrom(...words)
      if (format === 'date-time') return fc.constant('2026-01-02T03:04:05Z')
      return pattern === undefined ? anyText : fc.constant(new RegExp(pattern).test('Ready') ? 'Ready' : 'ready')
    case 'integer':
      return fc.constantFrom(-7, 0, 3, 3_221_225_477)
    case 'number':
      return fc.constantFrom(-0.5, 0.5, 1e9, Number.NaN)
    case 'boolean':
      return fc.boolean()
    case 'array':
      return fc.array(anyStatus(items ?? {}), { maxLength: schema['x-kubernetes-list-type'] === 'atomic' ? 3 : 1 })
    case 'object':
      if (additionalProperties !== undefined)
        return fc.dictionary(fc.constantFrom('a', 'b'), anyStatus(additionalProperties))
      return fc.record(Object.fromEntries(Object.entries(properties).map(([name, each]) => [name, anyStatus(each)])), {
        requiredKeys: [...required],
      })
    default:
      return fc.constant({})
  }
}
