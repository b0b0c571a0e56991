import { expect, test } from 'vitest'
import { databaseHost, databaseUrlFault, withVerifiedMode } from './database-url.ts'

test('what is no URL of PostgreSQL is refused, and no part of it repeated', () => {
  for (const wrong of ['notaurl', 'mysql://hunter2@x', 'hunter2', '/var/run/hunter2', 'http://hunter2'])
    expect(databaseUrlFault(wrong)).toBe('must be a URL like postgres://user:password@host:5432/database')
  for (const wrong of [
    'postgres://u:hunter2/x@h/d',
    'postgres://u:1#hunter2@h/d',
    'postgres://h:hunter2/d',
    'postgres://u:1234/hunter2@h/d',
  ]) {
    expect(databaseUrlFault(wrong)).toMatch(/^must be a URL like .* of a password written as %40/)
    expect(databaseUrlFault(wrong)).not.toContain('hunter2')
  }
  for (const right of [
    'postgres://h/d',
    'postgresql://u:p@h:5432/d?sslmode=verify-full',
    'postgres://u:p%2Fx@[fd00::2]:5433/d',
    'postgres://u:a,b@h:5432/d?target_session_attrs=any',
    'postgres://u@/d?host=/var/run/postgresql',
    'postgres:///d',
  ])
    expect(databaseUrlFault(right)).toBeUndefined()
})

test('several hosts, and what would choose among them, are refused by name and not ignored', () => {
  for (const wrong of [
    'postgres://u:hun,ter2@h1:5432,h2:5433/d?target_session_attrs=read-write',
    'postgres://u@h1,h2/d',
    'postgres:///d?host=h1,h2',
  ]) {
    expect(databaseUrlFault(wrong)).toMatch(/^names several hosts, .*one address that leads to the primary/)
    expect(databaseUrlFault(wrong)).not.toContain('ter2')
  }
  expect(databaseUrlFault('postgres://h/d?sslmode=disable&target_session_attrs=read-write')).toMatch(
    /^has target_session_attrs, which is not supported/,
  )
})

test('an unknown sslmode, and a file that is not there, are refused before anything is connected to', () => {
  expect(databaseUrlFault('postgres://h/d?sslmode=bogus')).toBe(
    'must have one of disable, no-verify, prefer, require, verify-ca, verify-full as its sslmode',
  )
  expect(databaseUrlFault('postgres://h/d?sslmode=verify-full&sslrootcert=/none/ca.pem')).toBe(
    'names a file that cannot be read: sslrootcert=/none/ca.pem (ENOENT)',
  )
  expect(databaseUrlFault(`postgres://h/d?sslrootcert=${import.meta.filename}`)).toBeUndefined()
})

test('modes that the driver would warn of are spelled out', () => {
  for (const mode of ['prefer', 'require', 'verify-ca'])
    expect(withVerifiedMode(`postgres://h/d?sslmode=${mode}&x=1`)).toBe('postgres://h/d?sslmode=verify-full&x=1')
  for (const kept of [
    'postgres://h/d?sslmode=disable',
    'postgres://h/d?sslmode=no-verify',
    'postgres://h/d',
    'postgres://h/d?sslmode=require&uselibpqcompat=true',
  ])
    expect(withVerifiedMode(kept)).toBe(kept)
})

test('a database is named without its user and password', () => {
  expect(databaseHost('postgres://u:hunter2@db.example/d')).toBe('db.example:5432')
  expect(databaseHost('postgres://u:hunter2@db.example:6000/d')).toBe('db.example:6000')
  expect(databaseHost('postgres://u:h@nter2@[fd00::2]/d')).toBe('[fd00::2]:5432')
  expect(databaseHost('postgres://u@/d?host=/run/pg')).toBe('/run/pg')
  expect(databaseHost('postgres:///d')).toBe('localhost:5432')
  expect(databaseHost('postgres://u:p@h1:1,h2:2/d')).toBe('h1:1,h2:2')
})
