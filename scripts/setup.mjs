/**
 * Installs the packages of package-lock.json, unless node_modules has them already. Runs before every npm script that needs them.
 *
 * Plain JavaScript without dependencies, for Node 20 or later: it runs before anything is installed. The packages include the Node on
 * which the scripts run, in node_modules/.bin. Two set-ups at once are safe: the second waits for the first.
 */
import { execFileSync, spawn } from "node:child_process"
import { linkSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs"
import { delimiter, dirname, join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const lock = join(root, ".setup.lock")
const localNode = join(root, "node_modules", ".bin", "node")
/** The holder of the lock touches it every second; a lock untouched for this long belongs to a process that has ended. */
const staleAfterMs = 10_000

/** Whether node_modules has the versions of package-lock.json, and a Node that runs. */
const isInstalled = () => {
  const wanted = packagesOf("package-lock.json")
  const present = packagesOf(join("node_modules", ".package-lock.json"))
  if (wanted === undefined || present === undefined) return false
  for (const [path, { version, optional }] of Object.entries(wanted)) {
    if (path === "" || (optional === true && present[path] === undefined)) continue
    if (present[path]?.version !== version) return false
  }
  return localNodeVersion() === `v${wanted["node_modules/node"]?.version}`
}

const packagesOf = (file) => {
  try {
    return JSON.parse(readFileSync(join(root, file), "utf8")).packages
  } catch {
    return undefined
  }
}

const localNodeVersion = () => {
  try {
    return execFileSync(localNode, ["--version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim()
  } catch {
    return undefined
  }
}

/** Runs `npm ci`, on another Node than the one in node_modules if there is one: npm removes that one. */
const install = () =>
  new Promise((done, failed) => {
    const bin = dirname(localNode)
    const path = (process.env.PATH ?? "")
      .split(delimiter)
      .filter((folder) => resolve(folder) !== bin)
      .join(delimiter)
    // Override settings of the caller, such as NODE_ENV=production, that would leave out packages the scripts need.
    const settings = ["--include=dev", "--include=optional", "--ignore-scripts=false", "--engine-strict=false"]
    const quiet = ["--loglevel=error", "--no-audit", "--no-fund"]
    const child = spawn("npm", ["ci", ...settings, ...quiet], {
      cwd: root,
      env: { ...process.env, PATH: path },
      stdio: ["ignore", process.stderr, process.stderr],
    })
    // Keep the lock until npm has ended, so that the next set-up does not start while it still runs.
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal))
    child.on("error", failed)
    child.on("close", (code, signal) =>
      code === 0 ? done() : failed(new Error(`npm ci failed (${signal ?? `exit ${code}`})`)),
    )
  })

/** Creates the lock file atomically with its content; returns false if another process has it. */
const takeLock = () => {
  const own = `${lock}.${process.pid}`
  writeFileSync(own, `${process.pid}\n`)
  try {
    linkSync(own, lock)
    return true
  } catch (error) {
    if (error.code === "EEXIST") return false
    throw error
  } finally {
    rmSync(own, { force: true })
  }
}

const touchLock = () => {
  try {
    utimesSync(lock, new Date(), new Date())
  } catch (error) {
    if (error.code !== "ENOENT") throw error
  }
}

const lockAgeMs = () => {
  const at = statSync(lock, { throwIfNoEntry: false })?.mtimeMs
  return at === undefined ? 0 : Date.now() - at
}

/** Removes an abandoned lock. It is renamed first, so that only one of several processes removes it. */
const breakLock = () => {
  const aside = `${lock}.${process.pid}.stale`
  try {
    renameSync(lock, aside)
  } catch (error) {
    if (error.code !== "ENOENT") throw error
  }
  rmSync(aside, { force: true })
}

const main = async () => {
  if (isInstalled()) return
  while (!takeLock()) {
    if (lockAgeMs() > staleAfterMs) breakLock()
    else await sleep(250)
    if (isInstalled()) return
  }
  const keepAlive = setInterval(touchLock, 1000)
  try {
    if (isInstalled()) return
    process.stderr.write("Installing the packages of package-lock.json ...\n")
    await install()
    if (!isInstalled()) throw new Error(`npm ci installed no Node that runs (${localNode})`)
  } finally {
    clearInterval(keepAlive)
    rmSync(lock, { force: true })
  }
}

main().catch((error) => {
  process.stderr.write(`set-up failed: ${error.message}\n`)
  process.exitCode = 1
})
