/**
 * Makes any status one that the API server takes, since what agents, engines, images and templates say ends up in it, and
 * one text that is refused would keep the whole status from ever being written: texts are cleaned and cut, lists cut,
 * numbers brought into their range. What is written by the operator alone (reasons, times, phases) is left as it is.
 */
import type { z } from 'zod'
import { cut, oneLine, plain } from '../text.ts'
import { lineMessage } from './fields.ts'
import { schemaOf, type StructuralSchema } from './structural.ts'

/** Gives the same object where nothing has to be changed; to fit it again changes nothing. */
export function statusFitter(status: z.ZodObject, kind: string): (status: object) => object {
  let schema: StructuralSchema | undefined
  return (given) => fitted(given, (schema ??= schemaOf(status, `${kind}.status`))) as object
}

function fitted(value: unknown, schema: StructuralSchema): unknown {
  switch (typeof value) {
    case 'string':
      return fittedText(value, schema)
    case 'number':
      return fittedNumber(value, schema)
    case 'object':
      if (value === null) return value
      return Array.isArray(value) ? fittedList(value, schema) : fittedFields(value, schema)
    default:
      return value
  }
}

function fittedText(text: string, { pattern, enum: words, format, maxLength, ...rest }: StructuralSchema): string {
  if (pattern !== undefined || words !== undefined || format !== undefined) return text
  const isLine = rest['x-kubernetes-validations']?.some(({ message }) => message === lineMessage) === true
  const clean = isLine ? oneLine(text) : plain(text)
  return maxLength === undefined ? clean : cut(clean, maxLength)
}

function fittedNumber(number: number, { minimum = -Infinity, maximum = Infinity }: StructuralSchema): number {
  return Number.isNaN(number) ? Math.max(0, minimum) : Math.min(Math.max(number, minimum), maximum)
}

function fittedList(list: readonly unknown[], { items = {}, maxItems = list.length }: StructuralSchema): unknown {
  let same = list.length <= maxItems
  const fit = list.slice(0, maxItems).map((item) => {
    const one = fitted(item, items)
    same &&= one === item
    return one
  })
  return same ? list : fit
}

function fittedFields(fields: object, { properties = {}, additionalProperties }: StructuralSchema): unknown {
  const given = fields as Readonly<Record<string, unknown>>
  // Every status that is written comes through here, and nearly none has to be copied.
  let copy: Record<string, unknown> | undefined
  for (const name of Object.keys(given)) {
    const schema = Object.hasOwn(properties, name) ? properties[name] : additionalProperties
    if (schema === undefined) continue
    const fit = fitted(given[name], schema)
    if (fit !== given[name]) (copy ??= { ...given })[name] = fit
  }
  return copy ?? fields
}
