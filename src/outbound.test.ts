import { describe, expect, it } from 'vitest'
import { milliseconds, seconds } from './duration.ts'
import { addressRule, checkedUrl, LookUpFailed, NameUnresolved, type Resolve } from './outbound.ts'

const byName: Record<string, readonly string[]> = {
  'public.test': ['93.184.216.34'],
  'mixed.test': ['93.184.216.34', '10.0.0.7'],
  'rebound.test': ['127.0.0.1'],
  localhost: ['127.0.0.1', '::1'],
}
const resolve: Resolve = async (host) => {
  const found = byName[host]
  if (!found) throw Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' })
  return found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
}
const rule = addressRule()
const check = (url: string) => checkedUrl(url, rule, resolve, {}, seconds(1))

describe('which addresses an external agent may have', () => {
  const words = (text: string) => text.trim().split(/\s+/)
  /** Metadata services, and IPv4 addresses in IPv6 ones. */
  const never = words(`169.254.169.254 169.254.170.2 169.254.170.23 100.100.100.200 168.63.129.16 fd00:ec2::254
    fd20:ce::254 fe80::a9fe:a9fe :: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:0:127.0.0.1 ::ffff:0:7f00:1
    64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 64:ff9b:1::a9fe:a9fe 2001::1 2001:0:a9fe:a9fe:: 2002:7f00:1::1
    2002:a9fe:a9fe:: fe80::1%eth0 ::1%lo 2606:4700::1%eth0`)
  const unlessOpened = words(`0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1
    127.255.255.254 169.254.1.1 172.16.0.1 172.31.255.255 192.0.0.8 192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1
    198.19.255.255 198.51.100.9 203.0.113.9 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 1::1 a::1 100::1 400::1
    2001:1::1 2001:db8::1 3fff::1 4000::1 5f00::1 8000::1 e000::1 fc00::1 fd00:ec2::1 fd12::1 fd20:ce::1 fe80::1
    febf::1 fec0::1 ff02::1`)
  const fine = words(`1.1.1.1 9.255.255.255 11.0.0.0 100.63.0.1 100.128.0.1 126.1.1.1 128.0.0.1 172.15.0.1 172.32.0.1
    2001:4860:4860::8888 2606:4700::1111 2620:4f:8000::1`)
  const all = addressRule(['0.0.0.0/0', '::/0'])

  it.each(never)('never %s, whatever is opened', (address) => {
    expect([rule(address), all(address)]).toEqual([false, false])
  })
  it.each(unlessOpened)('%s only where it is opened', (address) => {
    expect([rule(address), all(address)]).toEqual([false, true])
  })
  it.each(fine)('%s', (address) => expect(rule(address)).toBe(true))

  it('opens what an admin opens, and nothing beside it', () => {
    const opened = addressRule(['10.1.0.0/16', 'fd12::/16'])
    expect(['10.1.2.3', 'fd12::1', '10.2.0.1', '127.0.0.1', 'fd13::1'].map(opened)).toEqual([
      true,
      true,
      false,
      false,
      false,
    ])
  })
  it('takes nothing for an address that is none', () => {
    expect(['', 'public.test', '1.2.3', '[::1]', '127.0.0.1.', '0x7f000001'].some(all)).toBe(false)
  })
})

describe('which URLs it may register', () => {
  it('gives back the normal form', async () => {
    expect(await check('HTTP://Public.test:80/a b#part')).toBe('http://public.test/a%20b')
    expect(await check('https://[2606:4700::1]:8443/x?y=1')).toBe('https://[2606:4700::1]:8443/x?y=1')
  })

  it.each([
    ['not a url', 'not an http or https URL'],
    ['ftp://public.test/', 'not an http or https URL'],
    ['file:///etc/passwd', 'not an http or https URL'],
    ['http://user:pass@public.test/', 'credentials'],
    ['http://nowhere.test/', 'does not resolve'],
    ['http://localhost:8000/', 'is at 127.0.0.1'],
    ['http://rebound.test/', 'is at 127.0.0.1'],
    ['http://mixed.test/', 'is at 10.0.0.7'],
    ['http://127.0.0.1/', 'is at 127.0.0.1'],
    ['http://2130706433/', 'is at 127.0.0.1'],
    ['http://0x7f.1/', 'is at 127.0.0.1'],
    ['http://0177.0.0.1/', 'is at 127.0.0.1'],
    ['http://127.1/', 'is at 127.0.0.1'],
    ['http://169.254.169.254/latest/meta-data', 'is at 169.254.169.254'],
    ['http://[::1]/', 'is at ::1'],
    ['http://[::ffff:10.0.0.1]/', 'is at ::ffff:a00:1'],
  ])('refuses %s', async (url, message) => {
    await expect(check(url)).rejects.toThrow(message)
  })

  it('does not wait for a name server that is silent', async () => {
    const silent: Resolve = () => new Promise(() => undefined)
    await expect(checkedUrl('http://public.test/', rule, silent, {}, milliseconds(5))).rejects.toThrow('in time')
  })
  it.each(['EAI_AGAIN', 'ESERVFAIL', 'ETIMEOUT', 'ECONNREFUSED', 'ECANCELLED'])(
    'tells %s from a name that is not there',
    async (code) => {
      const failing: Resolve = () => Promise.reject(Object.assign(new Error(`queryA ${code}`), { code }))
      await expect(checkedUrl('http://public.test/', rule, failing, {}, seconds(1))).rejects.toBeInstanceOf(
        LookUpFailed,
      )
    },
  )
  it.each(['ENOTFOUND', 'ENODATA', 'EBADNAME'])('knows by %s that a name has no address', async (code) => {
    const failing: Resolve = () => Promise.reject(Object.assign(new Error(`queryA ${code}`), { code }))
    const refusal = await checkedUrl('http://public.test/', rule, failing, {}, seconds(1)).catch((error) => error)
    expect(refusal).toBeInstanceOf(NameUnresolved)
    expect(refusal).not.toBeInstanceOf(LookUpFailed)
  })
  it('does not repeat the credentials it refuses', async () => {
    await expect(check('http://user:hunter2@public.test/')).rejects.not.toThrow('hunter2')
  })
})
