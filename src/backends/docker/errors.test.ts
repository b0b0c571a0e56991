import { expect, test } from 'vitest'
import { RetryAfter, Terminal } from '../../errors.ts'
import { withoutFrames } from './backend.ts'
import { cpusOf, failureOf, pullFailure, throwLaunchFailure } from './errors.ts'
import { hasRegistry, missing } from './images.ts'

const answer = (statusCode: number, message: string) =>
  Object.assign(new Error(`(HTTP code ${statusCode}) no such container - ${message} `), { statusCode })

test.each([
  [404, 'No such container: ws-1', 'absent'],
  [404, 'get ws-1-configs: no such volume', 'absent'],
  [404, 'No such image: agent:1', 'no-image'],
  [404, 'image with reference a:1 was found but does not match the specified platform: wanted linux/arm64', 'no-image'],
  [404, 'network 6a1b not found', 'no-network'],
  [404, 'page not found', 'unknown'],
  [409, 'Conflict. The container name "/ws-1" is already in use by container "ab". You have to remove', 'conflict'],
  [409, 'removal of container ab is already in progress', 'removing'],
  [409, 'container is marked for removal and cannot be started', 'removing'],
  [409, 'remove ws-1-configs: volume is in use - [ab]', 'conflict'],
  [400, 'No command specified', 'refused'],
  [400, 'OCI runtime create failed: exec: "x": executable file not found in $PATH', 'refused'],
  [400, 'NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler', 'refused'],
  [400, 'network ws is ambiguous (2 matches found on name)', 'ambiguous'],
  [501, 'not implemented', 'refused'],
  [500, 'OCI runtime create failed: unable to apply cgroup: operation not permitted', 'refused'],
  [500, 'unknown or invalid runtime name: runsc', 'refused'],
  [500, 'could not find an available, non-overlapping IPv4 address pool', 'unknown'],
  [500, 'No such container: ws-1', 'unknown'],
  [503, 'overloaded', 'unknown'],
  [500, 'mkdir /var/lib/docker/overlay2/ab: no space left on device', 'disk-full'],
  [500, 'task 3f2a already exists: unknown', 'stuck'],
  [500, 'failed to create task for container: AlreadyExists: task 3f2a: already exists', 'stuck'],
  [500, 'OCI runtime create failed: container with given ID already exists: unknown', 'stuck'],
])('%i "%s" is %s', (code, message, failure) => {
  expect(failureOf(answer(code, message))).toBe(failure)
})

test('the CPUs of a machine are what its engine says when it refuses more', () => {
  const refusal = 'Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available'
  expect(cpusOf(answer(400, refusal))).toBe(2)
  expect(cpusOf(answer(400, 'No command specified'))).toBeUndefined()
})

test('what is no answer of the engine proves nothing', () => {
  expect(failureOf(new Error('connect ENOENT'))).toBe('unknown')
  expect(failureOf('No such container')).toBe('unknown')
})

test('a launch that the engine could not do for reasons of its own may be tried again', () => {
  expect(() => throwLaunchFailure(answer(500, 'hiccup'), 'a', 'r')).toThrow(
    'the Docker engine did not start the instance: hiccup; its own log says more',
  )
  expect(() => throwLaunchFailure(answer(500, 'hiccup'), 'a', 'r')).not.toThrow(Terminal)
  expect(() => throwLaunchFailure(answer(500, 'no space left on device'), 'a', 'r')).toThrow(RetryAfter)
  expect(() => throwLaunchFailure(answer(409, 'container is marked for removal'), 'a', 'r')).toThrow(RetryAfter)
  expect(() => throwLaunchFailure(answer(400, 'No command specified'), 'a', 'r')).toThrow(Terminal)
})

test.each([
  ['manifest for r.io/a:1 not found: manifest unknown', 'ImageMissing'],
  ['pull access denied for a, repository does not exist', 'ImageMissing'],
  ['no matching manifest for linux/arm64 in the manifest list entries', 'ImageMissing'],
  ['Head "https://r.io/v2/": unauthorized', 'ImageUnauthorized'],
  ['error from registry: denied', 'ImageUnauthorized'],
  ['toomanyrequests: rate limit, access denied', undefined],
  ['dial tcp: lookup r.io: no such host not found', undefined],
  ['net/http: TLS handshake timeout', undefined],
])('the pull failure "%s" is %s', (message, reason) => {
  const failure = pullFailure(answer(500, message), 'r.io/a:1', 'none')
  expect(failure).toBeInstanceOf(reason === undefined ? RetryAfter : Terminal)
  expect(failure).toMatchObject({ message: expect.stringContaining('"r.io/a:1"'), ...(reason && { reason }) })
})

test('an image that is refused says what is to be done, with credentials and without', () => {
  const said = (credentials: 'none' | 'given') =>
    pullFailure(answer(500, 'no basic auth credentials'), 'r.io/a:1', credentials).message
  expect(said('none')).toBe(
    'image "r.io/a:1" needs credentials, and the operator has none for it: add them to the file of REGISTRY_AUTH_FILE, or pull the image on the Docker host (no basic auth credentials)',
  )
  expect(said('given')).toMatch(/^image "r\.io\/a:1" is refused to the credentials that REGISTRY_AUTH_FILE has for it/)
})

test.each([
  ['team/agent:1', /"team\/agent:1" is not on the Docker host.* or write docker\.io\/team\/agent:1$/],
  ['node:24', /write docker\.io\/library\/node:24$/],
])('%s is not pulled, and that is said', (image, words) => {
  expect(missing({ image }).message).toMatch(words)
})

test.each([
  ['agent:1', false],
  ['team/agent', false],
  ['agent@sha256:0000000000000000000000000000000000000000000000000000000000000000', true],
  ['ghcr.io/team/agent', true],
  ['localhost/agent', true],
  ['localhost:5000/agent', true],
])('%s comes from a registry: %s', (image, from) => {
  expect(hasRegistry(image)).toBe(from)
})

test('a log is its frames put together, the last of which may be cut', () => {
  const frame = (text: string) => Buffer.concat([Buffer.from([1, 0, 0, 0, 0, 0, 0, text.length]), Buffer.from(text)])
  const log = Buffer.concat([frame('one\n'), frame('two\n')])
  expect(withoutFrames(log).toString()).toBe('one\ntwo\n')
  expect(withoutFrames(log.subarray(0, -2)).toString()).toBe('one\ntw')
  expect(withoutFrames(Buffer.alloc(0)).toString()).toBe('')
})
