// Loaded into Azurite before its own code: what each identity may do to blobs, which Azurite does not check.
//
// BLOB_ROLES is JSON: an identity's principal id (its token's `oid`) to `read` or `write`, what Storage Blob Data Reader
// and Storage Blob Data Contributor on a container allow, here on each. Of the account itself a writer may ask for a key
// to sign with, as Storage Blob Delegator allows. Whoever is not in it may do nothing. Azurite itself checks the token;
// one that it refuses is left to it.
//
// Source: Microsoft Learn, "Permissions for calling data operations" in "Authorize with Microsoft Entra ID".
"use strict";

const crypto = require("node:crypto");
const http = require("node:http");
const https = require("node:https");

const roles = JSON.parse(process.env.BLOB_ROLES);
const MESSAGE = "This request is not authorized to perform this operation using this permission.";

function principalOf(request, query) {
  const [scheme, token] = (request.headers.authorization ?? "").split(" ");
  if (scheme?.toLowerCase() === "bearer" && token) {
    try {
      const claims = JSON.parse(Buffer.from(token.split(".")[1], "base64url").toString());
      return claims.exp * 1000 > Date.now() ? claims.oid : undefined;
    } catch {
      return undefined;
    }
  }
  // A URL that an identity signed allows at most what the identity may do.
  return query.get("skoid") ?? undefined;
}

function allows(role, { method, headers }, { pathname, searchParams: query }) {
  if (query.get("comp") === "tags" || headers["x-ms-tags"] !== undefined) {
    return false; // Neither role has the tags of blobs; Storage Blob Data Owner does.
  }
  if (method === "DELETE" && query.has("versionid")) {
    return false; // deleteBlobVersion/action is Storage Blob Data Owner's too.
  }
  if (pathname.split("/").filter(Boolean).length < 2) {
    return role === "write" && query.get("comp") === "userdelegationkey";
  }
  const reads = method === "GET" || method === "HEAD" || (method === "POST" && query.get("comp") === "query");
  return role === "write" || (role === "read" && reads);
}

function refuse(request, response) {
  const id = crypto.randomUUID();
  const detail = `${MESSAGE}\nRequestId:${id}\nTime:${new Date().toISOString()}`;
  const code = "AuthorizationPermissionMismatch";
  const body = `<?xml version="1.0" encoding="utf-8"?><Error><Code>${code}</Code><Message>${detail}</Message></Error>`;
  response.writeHead(403, MESSAGE, {
    "Content-Type": "application/xml",
    "Content-Length": Buffer.byteLength(body),
    "x-ms-error-code": code,
    "x-ms-request-id": id,
  });
  response.end(request.method === "HEAD" ? undefined : body);
  request.resume();
}

for (const { Server } of [http, https]) {
  const emit = Server.prototype.emit;
  Server.prototype.emit = function (event, request, response, ...rest) {
    if (event === "request" || event === "checkContinue") {
      const url = new URL(request.url, "https://localhost");
      const principal = principalOf(request, url.searchParams);
      if (principal !== undefined && !allows(roles[principal], request, url)) {
        refuse(request, response);
        return true;
      }
    }
    return emit.call(this, event, request, response, ...rest);
  };
}
