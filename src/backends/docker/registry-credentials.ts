/**
 * Credentials of registries, from a file as `docker login` and Secrets of the type kubernetes.io/dockerconfigjson have it:
 * `{"auths":{"registry.example/team":{"auth":"<base64 of user:password>"}}}`. They are the operator's: a Runtime, which no
 * tenant writes, names the image that they are used for.
 */
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { seconds } from '../../duration.ts'
import { RetryAfter } from '../../errors.ts'

/** What the engine passes on to the registry. */
export interface RegistryAuth {
  readonly username?: string | undefined
  readonly password?: string | undefined
  readonly identitytoken?: string | undefined
  readonly registrytoken?: string | undefined
  readonly serveraddress: string
}

/** Asked at each pull. Undefined: there is none for that image. Throws `RetryAfter` where they cannot be read now. */
export type RegistryCredentials = (image: string) => Promise<RegistryAuth | undefined>

/** `null` is no value, as it is to Docker. */
const maybeText = z
  .string()
  .nullish()
  .transform((value) => value ?? undefined)
const entry = z
  .object({
    auth: maybeText,
    username: maybeText,
    password: maybeText,
    identitytoken: maybeText,
    registrytoken: maybeText,
  })
  .nullish()
/** An entry is read once an image asks for it: what is wrong with one concerns no other registry. */
const schema = z.object({ auths: z.record(z.string(), z.unknown()) })

/** Read at each pull, so that what was rotated holds without a restart. Without a file there are no credentials. */
export function credentialsIn(file: string | undefined): RegistryCredentials {
  return async (image) => {
    if (file === undefined) return undefined
    let text: string
    try {
      text = await readFile(file, 'utf8')
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
      throw new RetryAfter(seconds(30), `the file of REGISTRY_AUTH_FILE cannot be read (${code})`)
    }
    return authFor(image, text)
  }
}

/** The entry with the longest name that the image begins with, ended by a slash; a registry alone stands for all of it. */
export function authFor(image: string, file: string): RegistryAuth | undefined {
  const named = canonical(image)
  const wanted =
    registryOf(named) === dockerHub && !named.startsWith(`${dockerHub}/`) ? `${dockerHub}/${named}/` : `${named}/`
  const fitting = Object.entries(authsIn(file))
    .map(([name, found]) => ({
      name: canonical(name.replace(/^https?:\/\//, '').replace(/\/(v[12]\/?)?$/, '')),
      found,
    }))
    .filter(({ name }) => wanted.startsWith(`${name}/`))
    .sort((a, b) => b.name.length - a.name.length)
  const [best] = fitting
  if (best === undefined) return undefined
  const read = entry.safeParse(best.found)
  if (!read.success)
    throw new RetryAfter(
      seconds(30),
      `the entry of ${registryOf(image)} in the file of REGISTRY_AUTH_FILE is not of the form {"auth":"…"}`,
    )
  const { auth, ...plain } = read.data ?? {}
  const [, username, password] = /^([^:]*):(.*)$/s.exec(Buffer.from(auth ?? '', 'base64').toString()) ?? []
  const given = { ...(username !== undefined && { username, password }), ...plain }
  return Object.values(given).some((value) => value !== undefined && value !== '')
    ? { ...given, serveraddress: registryOf(image) }
    : undefined
}

/** Never quotes the file: it is a secret. */
function authsIn(file: string): z.output<typeof schema>['auths'] {
  let read: unknown
  try {
    read = JSON.parse(file)
  } catch {
    read = undefined
  }
  const parsed = schema.safeParse(read)
  if (parsed.success) return parsed.data.auths
  throw new RetryAfter(
    seconds(30),
    'the file of REGISTRY_AUTH_FILE is not of the form {"auths":{"registry.example":{"auth":"…"}}}',
  )
}

/** The host that an image is pulled from. */
export function registryOf(image: string): string {
  const [host] = image.split('/')
  return image.includes('/') && host !== undefined && /[.:]|^localhost$/.test(host) ? host : dockerHub
}

const dockerHub = 'docker.io'
const hubs = /^(index\.docker\.io|registry-1\.docker\.io|registry\.hub\.docker\.com)(?=\/|$)/

/** Without tag and digest; Docker Hub by one name. */
function canonical(name: string): string {
  const bare = name
    .replace(/@.*$/, '')
    .replace(/:[^/:]*$/, (tag, at: number, whole: string) => (whole.slice(0, at).includes('/') ? '' : tag))
  return bare.replace(hubs, dockerHub)
}
