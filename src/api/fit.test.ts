import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { anyStatus } from '../../test/support/any-status.ts'
import { statusFitter } from './fit.ts'
import { orgImportKind } from './org-import.ts'
import { pluginInstallKind } from './plugin-install.ts'
import { runtimeKind } from './runtime.ts'
import { schemaOf } from './structural.ts'
import { workspaceKind } from './workspace.ts'

const kinds = [workspaceKind, orgImportKind, pluginInstallKind, runtimeKind].map((kind) => ({ kind, name: kind.kind }))

test.each(kinds)('any text or number in any place of the status of a $name is made to fit the schema', ({ kind }) => {
  const fit = statusFitter(kind.status, kind.kind)
  fc.assert(
    fc.property(anyStatus(schemaOf(kind.status, kind.kind)), (status) => {
      const fitted = fit(status as object)
      expect(kind.status.safeParse(fitted).error?.issues).toBeUndefined()
      expect(fit(fitted)).toBe(fitted)
    }),
  )
})

test('lists are cut; what fits is the same object', () => {
  const fit = statusFitter(orgImportKind.status, 'OrgImport')
  const warnings = Array.from({ length: 60 }, (_, i) => ({ code: 'Odd', message: `m${i}` }))
  expect(fit({ warnings })).toEqual({ warnings: warnings.slice(0, 50) })
  const status = { summary: 'all is well', warnings: warnings.slice(0, 3) }
  expect(fit(status)).toBe(status)
})
