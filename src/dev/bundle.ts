/** The operator as plain JavaScript: what the image is made of, what its tests look at, and what loads are measured on. */
import { build, type BuildOptions } from 'esbuild'
import { execFileSync } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..', '..')

/** Told by GIT_COMMIT where there is no repository, as in the image's own build. */
function commit(): string {
  const told = process.env['GIT_COMMIT']
  if (told !== undefined && told !== '') return told
  try {
    const stdio: ['ignore', 'pipe', 'ignore'] = ['ignore', 'pipe', 'ignore']
    return execFileSync('git', ['rev-parse', 'HEAD'], { cwd: root, encoding: 'utf8', stdio }).trim()
  } catch {
    return 'unknown'
  }
}

/** `node dist/main.js run` starts it. */
export const bundle: BuildOptions & { outdir: string } = {
  absWorkingDir: root,
  entryPoints: ['src/main.ts'],
  outdir: 'dist',
  bundle: true,
  // Chunks, since some parts (knex and the migrations) are loaded only where they are needed.
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  define: { BUILD_COMMIT: JSON.stringify(commit()) },
  // The image installs what package.json names; only our own files are put together.
  packages: 'external',
  sourcemap: 'linked',
  sourcesContent: false,
  logLevel: 'warning',
}

/** Builds it anew and gives the path of its entry. */
export async function buildBundle(): Promise<string> {
  const outdir = join(root, bundle.outdir)
  await rm(outdir, { recursive: true, force: true })
  await build(bundle)
  return join(outdir, 'main.js')
}
