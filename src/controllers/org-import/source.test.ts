import { expect, test } from 'vitest'
import { owner } from '../../../test/support/org-plan.ts'
import { readSource, type SourceViews } from './source.ts'

test.each(['constructor', 'toString', '__proto__'])('"%s" is a key like any other', (archiveKey) => {
  const org = owner()
  const source = { configMapRef: { name: 'c', key: 'org.yaml', archiveKey } }
  const views = {
    configMap: () => ({
      state: 'found',
      object: { metadata: { ...org.metadata, name: 'c' }, data: {}, binaryData: {} },
    }),
    sources: { retain: () => undefined },
  } as unknown as SourceViews
  expect(readSource({ ...org, spec: { ...org.spec, source } }, views)).toMatchObject({
    reason: 'SourceMissing',
    message: `ConfigMap "c" has no binaryData "${archiveKey}"`,
  })
})
