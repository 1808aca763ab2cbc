// Loaded into Azurite before its own code, for two things that Azurite has no option for.
//
// Telemetry is off, so its library (a third of the memory) is not loaded.
//
// Azurite keeps what it knows of blobs in memory and writes it to disk every
// 5 seconds, so a killed Azurite forgets blobs that it had acknowledged. Here a request that changed something is
// answered only when that is on disk. Requests that wait together share one write.
"use strict";

const http = require("node:http");
const Module = require("node:module");
const path = require("node:path");

const azurite = path.dirname(path.dirname(path.dirname(path.dirname(process.argv[1]))));
const Loki = require(require.resolve("lokijs", { paths: [azurite] }));

const load = Module._load;
Module._load = (request, ...rest) => (request === "applicationinsights" ? {} : load(request, ...rest));

const databases = new Set();
const saveDatabase = Loki.prototype.saveDatabase;
Loki.prototype.saveDatabase = function (callback) {
  databases.add(this);
  return saveDatabase.call(this, callback);
};

function save(database) {
  return new Promise((resolve, reject) => database.saveDatabase((error) => (error ? reject(error) : resolve())));
}

function unsaved() {
  return [...databases].filter((database) => database.autosaveDirty() || database.throttledSavePending);
}

const end = http.ServerResponse.prototype.end;
http.ServerResponse.prototype.end = function (...content) {
  const waiting = ["GET", "HEAD", "OPTIONS"].includes(this.req?.method) ? [] : unsaved();
  if (waiting.length === 0) {
    return end.apply(this, content);
  }
  Promise.all(waiting.map(save)).then(
    () => end.apply(this, content),
    (error) => {
      console.error(`not saved, request refused: ${error.message}`);
      this.destroy(error);
    },
  );
  return this;
};
