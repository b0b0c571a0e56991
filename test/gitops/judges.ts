/** What programs that wait for objects make of them: the programs' own code, not a copy of their rules. */
import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { access, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { parseAllDocuments } from 'yaml'
import { z } from 'zod'
import { cacheFolder, go, platform } from '../../src/dev/go.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '..', '..')
const source = join(import.meta.dirname, 'judge')

const verdicts = z.array(
  z.object({ kstatus: z.string(), message: z.string(), flux: z.string(), expressions: z.string() }),
)
export type Verdict = z.infer<typeof verdicts>[number]

/** Whether a command can be started here. When it cannot, what needs it is skipped, and that is said aloud. */
async function found(command: string, args: readonly string[], what: string): Promise<boolean> {
  try {
    await run(command, args)
    return true
  } catch {
    console.error(`\n*** NO ${command} HERE: what ${what} is not asked, its tests are SKIPPED ***\n`)
    return false
  }
}
export const hasGo: boolean = await found('go', ['version'], 'kstatus and Flux make of an object')
export const hasLua: boolean = await found('lua5.1', ['-v'], 'Argo CD makes of an object')

/** The program in the folder `judge`, built once for each version of it, which takes minutes: call it before a test that judges. */
export async function judgeProgram(): Promise<string> {
  const files = await Promise.all(['main.go', 'go.mod', 'go.sum'].map((name) => readFile(join(source, name))))
  const hash = createHash('sha256')
  for (const file of files) hash.update(file).update('\0')
  const dir = join(cacheFolder('judge'), `${hash.digest('hex').slice(0, 16)}-${platform()}`)
  const program = join(dir, 'judge')
  const there = await access(program).then(
    () => true,
    () => false,
  )
  if (there) return program
  await mkdir(dir, { recursive: true })
  const unfinished = join(dir, `.building-${process.pid}`)
  try {
    await go(['build', '-trimpath', '-ldflags', '-s -w', '-o', unfinished, '.'], source)
    await rename(unfinished, program)
  } finally {
    await rm(unfinished, { force: true })
  }
  return program
}

/** What kstatus, Flux and Flux with the expressions of docs/gitops.md say, in the order of the objects. */
export async function judge(objects: readonly object[]): Promise<readonly Verdict[]> {
  const child = spawn(await judgeProgram(), { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'close') as Promise<[code: number | null]>
  child.stdin.end(JSON.stringify({ objects, expressions: await documentedExpressions() }))
  const [said, [code]] = await Promise.all([text(child.stdout), ended])
  if (code !== 0) throw new Error(`the program in test/gitops/judge ended with code ${code}: it says why above`)
  const told = verdicts.parse(JSON.parse(said))
  if (told.length !== objects.length)
    throw new Error(
      `the program in test/gitops/judge was asked about ${objects.length} objects and told of ${told.length}`,
    )
  return told
}

const kustomization = z.object({
  kind: z.literal('Kustomization'),
  spec: z.object({
    healthCheckExprs: z.array(
      z.object({
        kind: z.string(),
        current: z.string(),
        failed: z.string().optional(),
        inProgress: z.string().optional(),
      }),
    ),
  }),
})

/** By kind, from the one Kustomization of docs/gitops.md: what people copy is what is tried. */
async function documentedExpressions(): Promise<Readonly<Record<string, object>>> {
  for (const document of await codeBlocks('yaml')) {
    const found = kustomization.safeParse(parseAllDocuments(document)[0]?.toJS())
    if (found.success)
      return Object.fromEntries(found.data.spec.healthCheckExprs.map(({ kind, ...exprs }) => [kind, exprs]))
  }
  throw new Error('docs/gitops.md shows no Kustomization with healthCheckExprs')
}

/** Those of docs/gitops.md in one language. */
export async function codeBlocks(language: string): Promise<readonly string[]> {
  const page = await readFile(join(root, 'docs', 'gitops.md'), 'utf8')
  return [...page.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].flatMap(([, tag, block = '']) =>
    tag === language ? [block] : [],
  )
}

/** What Argo CD shows of each object: manifests/argocd/health.lua, with `obj` and no library, as Argo CD runs it. */
export async function healthOf(
  objects: readonly object[],
): Promise<readonly { readonly status: string; readonly message: string }[]> {
  const script = join(root, 'manifests', 'argocd', 'health.lua')
  const dir = await mkdtemp(join(tmpdir(), 'molecule-test-lua-'))
  try {
    const main = join(dir, 'main.lua')
    await writeFile(
      main,
      `-- A message may have any number of lines: texts travel in hexadecimal, an object a line.
local function encoded(text)
  return (text:gsub(".", function(char) return string.format("%02x", char:byte()) end))
end
local script = ${luaOf(await readFile(script, 'utf8'))}
local objects = ${luaOf(objects)}
for _, object in ipairs(objects) do
  local health = setfenv(assert(loadstring(script, "health.lua")), { obj = object, ipairs = ipairs, pairs = pairs })()
  io.write(encoded(health.status), " ", encoded(health.message or ""), "\\n")
end
`,
    )
    const { stdout } = await run('lua5.1', [main])
    const lines = stdout.split('\n').slice(0, -1)
    if (lines.length !== objects.length)
      throw new Error(`health.lua was asked about ${objects.length} objects and told of ${lines.length}`)
    return lines.map((line) => {
      const [status = '', message = ''] = line.split(' ').map((word) => Buffer.from(word, 'hex').toString())
      return { status, message }
    })
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

/** JSON as a Lua expression. */
function luaOf(value: unknown): string {
  if (value === null || value === undefined) return 'nil'
  if (typeof value === 'string') return `"${[...Buffer.from(value)].map(luaByte).join('')}"`
  if (typeof value !== 'object') return JSON.stringify(value)
  if (Array.isArray(value)) return `{${value.map(luaOf).join(',')}}`
  return `{${Object.entries(value)
    .map(([name, inner]) => `[${luaOf(name)}]=${luaOf(inner)}`)
    .join(',')}}`
}

const luaByte = (byte: number): string =>
  byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c
    ? String.fromCharCode(byte)
    : `\\${String(byte).padStart(3, '0')}`
