-- Who may do what in the database? Makes the roles that the environment names, and can be repeated.
--
-- hello and hello_owner hold the rights and can't log in. Those who log in, hello_service_N and hello_migration_N, are made
-- anew with each change of passwords, so that the tasks of before go on until they are replaced; all but the last two are
-- dropped.
\getenv service SERVICE_USERNAME
\getenv service_password SERVICE_PASSWORD
\getenv migration MIGRATION_USERNAME
\getenv migration_password MIGRATION_PASSWORD

SELECT format('CREATE ROLE %I NOLOGIN', role) FROM unnest(ARRAY['hello', 'hello_owner']) AS role
WHERE role NOT IN (SELECT rolname FROM pg_roles) \gexec
SELECT format('CREATE ROLE %I LOGIN', role) FROM unnest(ARRAY[:'service', :'migration']) AS role
WHERE role NOT IN (SELECT rolname FROM pg_roles) \gexec
ALTER ROLE :"service" PASSWORD :'service_password';
ALTER ROLE :"migration" PASSWORD :'migration_password';

-- The administrator of RDS is no superuser: it must belong to those whose rights it gives away.
GRANT hello_owner TO CURRENT_USER;
GRANT hello TO :"service";
GRANT hello_owner TO :"migration";
-- Whoever migrates, the tables are hello_owner's.
ALTER ROLE :"migration" SET role = hello_owner;
GRANT USAGE, CREATE ON SCHEMA public TO hello_owner;
GRANT USAGE ON SCHEMA public TO hello;
ALTER DEFAULT PRIVILEGES FOR ROLE hello_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO hello;

-- Not while somebody is connected by them: where a change was cut off, tasks still have older ones.
SELECT format('DROP ROLE %I', rolname) FROM pg_roles
WHERE rolname ~ '^hello_(service|migration)_[0-9]+$'
AND substring(:'service' FROM '[0-9]+$')::int - substring(rolname FROM '[0-9]+$')::int NOT IN (0, 1)
AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE usename = rolname) \gexec
