/** `npm run build`: the operator as plain JavaScript in dist/, for the image. `node dist/main.js run` starts it. */
import { rm } from 'node:fs/promises'
import { build } from 'esbuild'

await rm('dist', { recursive: true, force: true })
await build({
  entryPoints: ['src/main.ts'],
  outdir: 'dist',
  bundle: true,
  // Chunks, since some parts (knex and the migrations) are loaded only where they are needed.
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  // The image installs what package.json names; only our own files are put together.
  packages: 'external',
  sourcemap: 'linked',
  sourcesContent: false,
  logLevel: 'warning',
})
