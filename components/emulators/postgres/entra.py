"""What Azure Database for PostgreSQL has for Entra identities, as SQL for a plain PostgreSQL.

The role `azure_pg_admin`, the Entra administrator, the functions `pgaadauth_*` by which that one makes roles for other
identities, and the table `pgaadauth.principals` of which role belongs to which identity. Azure enforces tokens itself;
here components.emulators.azure does by means of that table.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

_ROLE = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@dataclass(frozen=True)
class Administrator:
    """The Entra administrator: a role that may make databases and roles, and is no superuser."""

    role: str
    object_id: str

    def __post_init__(self) -> None:
        if not _ROLE.fullmatch(self.role):
            raise ValueError(f"administrator: role {self.role!r} must match {_ROLE.pattern}.")
        try:
            uuid.UUID(self.object_id)
        except ValueError as error:
            raise ValueError(f"administrator: object id {self.object_id!r} is no UUID.") from error

    @classmethod
    def parse(cls, text: str) -> Administrator:
        """Read `ROLE:OBJECT_ID`."""
        role, separator, object_id = text.partition(":")
        if not separator:
            raise ValueError(f"administrator: {text!r} must be ROLE:OBJECT_ID.")
        return cls(role, object_id)


def bootstrap(administrator: Administrator, tenant_id: str) -> str:
    """Idempotent SQL for database `postgres`, its statements separated by `;` and an empty line."""
    role, object_id = administrator.role, administrator.object_id
    statements = (_ROLES, _TABLE, _CREATE_PRINCIPAL, _LIST_PRINCIPALS.replace("TENANT", tenant_id), _RIGHTS)
    administration = _ADMINISTRATOR.replace("ROLE", role).replace("OBJECT_ID", object_id)
    return ";\n\n".join(statement.strip() for statement in (*statements, administration)) + ";\n\n"


_ROLES = """
do $$
begin
    if not exists (select from pg_roles where rolname = 'azure_pg_admin') then
        create role azure_pg_admin nologin;
    end if;
    grant pg_monitor, pg_signal_backend to azure_pg_admin;
end $$
"""

_TABLE = """
do $$
begin
    create schema if not exists pgaadauth;
    create table if not exists pgaadauth.principals (
        role oid primary key,
        object_id uuid not null,
        object_type text not null,
        is_admin boolean not null,
        is_mfa boolean not null
    );
end $$
"""

# On Azure, too, the functions are found whatever the search path.
_CREATE_PRINCIPAL = """
create or replace function pg_catalog.pgaadauth_create_principal_with_oid(
    rolename text, objectid text, objecttype text, isadmin boolean, ismfa boolean
) returns text language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if lower(objecttype) not in ('user', 'group', 'service') then
        raise exception 'Invalid object type "%", must be user, group or service', objecttype
            using errcode = 'invalid_parameter_value';
    end if;
    execute format('create role %I login', rolename);
    insert into pgaadauth.principals
        select oid, objectid::uuid, lower(objecttype), isadmin, ismfa from pg_roles where rolname = rolename;
    if isadmin then
        execute format('alter role %I createdb createrole', rolename);
        execute format('grant azure_pg_admin to %I', rolename);
    end if;
    -- What the creator of a role gets who has CREATEROLE and is no superuser: may change and grant it, not act as it.
    if not (select rolsuper from pg_roles where rolname = session_user) then
        execute format('grant %I to %I with admin true, inherit false, set false', rolename, session_user);
    end if;
    return format('Created role for "%s"', rolename);
end $$
"""

_LIST_PRINCIPALS = """
create or replace function pg_catalog.pgaadauth_list_principals(isadminvalue boolean)
returns table (rolname name, principaltype text, objectid text, tenantid text, ismfa boolean, isadmin boolean)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select r.rolname, p.object_type, p.object_id::text, 'TENANT', p.is_mfa, p.is_admin
    from pgaadauth.principals p join pg_roles r on r.oid = p.role
    where p.is_admin or not isadminvalue order by 1
$$
"""

_RIGHTS = """
do $$
begin
    revoke all on schema pgaadauth from public;
    revoke all on function pg_catalog.pgaadauth_create_principal_with_oid(text, text, text, boolean, boolean)
        from public;
    revoke all on function pg_catalog.pgaadauth_list_principals(boolean) from public;
    grant execute on function pg_catalog.pgaadauth_create_principal_with_oid(text, text, text, boolean, boolean)
        to azure_pg_admin;
    grant execute on function pg_catalog.pgaadauth_list_principals(boolean) to azure_pg_admin;
end $$
"""

_ADMINISTRATOR = """
do $$
begin
    if not exists (select from pg_roles where rolname = 'ROLE') then
        create role "ROLE";
    end if;
    alter role "ROLE" login createdb createrole;
    grant azure_pg_admin to "ROLE";
    insert into pgaadauth.principals
        select oid, 'OBJECT_ID', 'service', true, false from pg_roles where rolname = 'ROLE'
        on conflict (role) do update set object_id = excluded.object_id, is_admin = true;
end $$
"""
