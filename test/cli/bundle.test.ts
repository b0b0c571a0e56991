/** What a released operator is made of. */
import { build } from 'esbuild'
import { expect, test } from 'vitest'
import { bundle } from '../../src/dev/bundle.ts'

test('the bundle has nothing of the development tools, the fake backend or the failpoints that a test arms', async () => {
  const { metafile, outputFiles } = await build({ ...bundle, sourcemap: false, metafile: true, write: false })
  const inputs = Object.keys(metafile.inputs)
  expect(inputs).toContain('src/operator.ts')
  expect(inputs.filter((path) => /^src\/(dev|backends\/fake)\//.test(path))).toEqual([])
  expect(outputFiles.filter(({ text }) => /SIGSTOP|FAILPOINT/.test(text)).map(({ path }) => path)).toEqual([])
})
