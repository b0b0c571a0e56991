/** What a released operator is made of. */
import { join } from 'node:path'
import { build } from 'esbuild'
import { expect, test } from 'vitest'

test('the bundle has nothing of the development tools, the fake backend or the failpoints that a test arms', async () => {
  const { metafile, outputFiles } = await build({
    absWorkingDir: join(import.meta.dirname, '../..'),
    entryPoints: ['src/main.ts'],
    outdir: 'dist',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    packages: 'external',
    metafile: true,
    write: false,
  })
  const inputs = Object.keys(metafile.inputs)
  expect(inputs).toContain('src/operator.ts')
  expect(inputs.filter((path) => /^src\/(dev|backends\/fake)\//.test(path))).toEqual([])
  expect(outputFiles.filter(({ text }) => /SIGSTOP|FAILPOINT/.test(text)).map(({ path }) => path)).toEqual([])
})
