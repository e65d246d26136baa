-- A ledger of format version 4, as commit e7a7e0f made it of the one of version 3.
BEGIN TRANSACTION;
CREATE TABLE _replicator_beats (
	stream VARCHAR(40) NOT NULL, 
	pid INTEGER NOT NULL, 
	host TEXT NOT NULL, 
	started_at FLOAT NOT NULL, 
	at FLOAT NOT NULL, 
	head TEXT, 
	retained_bytes INTEGER, 
	error TEXT, lag_seconds FLOAT, 
	PRIMARY KEY (stream)
);
INSERT INTO "_replicator_beats" VALUES('shop',4711,'here',1700000000.25,1700000005.5,'13',4096,'the connection was lost',NULL);
CREATE TABLE _replicator_format (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "_replicator_format" VALUES(4);
CREATE TABLE _replicator_parts (
	stream VARCHAR(40) NOT NULL, 
	source_schema VARCHAR(128) NOT NULL, 
	source_name VARCHAR(128) NOT NULL, 
	part INTEGER NOT NULL, 
	epoch INTEGER NOT NULL, 
	position TEXT, 
	cursor TEXT, 
	done INTEGER NOT NULL, 
	PRIMARY KEY (stream, source_schema, source_name, part)
);
INSERT INTO "_replicator_parts" VALUES('shop','public','half',0,2,'11','["1"]',0);
CREATE TABLE _replicator_prepared (
	stream VARCHAR(40) NOT NULL, 
	xid VARCHAR(300) NOT NULL, 
	part INTEGER NOT NULL, 
	changes TEXT NOT NULL, 
	PRIMARY KEY (stream, xid, part)
);
CREATE TABLE _replicator_streams (
	name VARCHAR(40) NOT NULL, 
	uid VARCHAR(32) NOT NULL, 
	publication TEXT, 
	slot TEXT, 
	source TEXT NOT NULL, 
	phase VARCHAR(16) NOT NULL, 
	epoch INTEGER NOT NULL, 
	position TEXT, 
	within INTEGER NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "_replicator_streams" VALUES('shop','84932b8052baab94973dcae3cc80eee3','theirs',NULL,'{"system": "7431", "timeline": 1, "database": "shop", "url": "postgresql://reader@db/shop"}','streaming',2,'12',0);
INSERT INTO "_replicator_streams" VALUES('young','b9ab861ddeea36ab63b78a8e2675f1f2',NULL,NULL,'{}','preparing',1,NULL,0);
CREATE TABLE _replicator_tables (
	stream VARCHAR(40) NOT NULL, 
	source_schema VARCHAR(128) NOT NULL, 
	source_name VARCHAR(128) NOT NULL, 
	target_schema TEXT NOT NULL, 
	target_name TEXT NOT NULL, 
	phase VARCHAR(16) NOT NULL, 
	floor TEXT, 
	made INTEGER NOT NULL, 
	may_empty INTEGER NOT NULL, 
	shape TEXT NOT NULL, 
	policies TEXT NOT NULL, 
	carried TEXT NOT NULL, options TEXT, as_of TEXT, settles TEXT, overwritten INTEGER, 
	PRIMARY KEY (stream, source_schema, source_name)
);
INSERT INTO "_replicator_tables" VALUES('shop','public','items','main','items','live','10',1,1,'{"id":"1","key":["id"],"columns":[{"name":"id","type":{"bits":64,"signed":true,"kind":"integer"},"nullable":false,"native":"20:-1","native_name":"bigint","number":0},{"name":"u","type":{"bits":64,"signed":true,"kind":"integer"},"nullable":true,"native":"20:-1","native_name":"bigint","number":0},{"name":"v","type":{"length":null,"fixed":false,"kind":"text"},"nullable":true,"native":"25:-1","native_name":"text","number":0}],"uniques":[{"name":"items_u","columns":["u"]}]}','{"v": {"as": "text"}}','16400/table 16410/16390',NULL,NULL,NULL,NULL);
INSERT INTO "_replicator_tables" VALUES('shop','public','gone','main','gone','left','never',1,1,'{"id":"3","key":["id"],"columns":[{"name":"id","type":{"bits":64,"signed":true,"kind":"integer"},"nullable":false,"native":"20:-1","native_name":"bigint","number":0},{"name":"u","type":{"bits":64,"signed":true,"kind":"integer"},"nullable":true,"native":"20:-1","native_name":"bigint","number":0},{"name":"v","type":{"length":null,"fixed":false,"kind":"text"},"nullable":true,"native":"25:-1","native_name":"text","number":0}],"uniques":[]}','{}','16400/table 16411/16391',NULL,NULL,NULL,NULL);
INSERT INTO "_replicator_tables" VALUES('shop','public','half','main','half','copying','11',1,1,'{"id":"4","key":["id"],"columns":[{"name":"id","type":{"bits":64,"signed":true,"kind":"integer"},"nullable":false,"native":"20:-1","native_name":"bigint","number":0},{"name":"u","type":{"bits":64,"signed":true,"kind":"integer"},"nullable":true,"native":"20:-1","native_name":"bigint","number":0},{"name":"v","type":{"length":null,"fixed":false,"kind":"text"},"nullable":true,"native":"25:-1","native_name":"text","number":0}],"uniques":[]}','{}','',NULL,NULL,NULL,NULL);
INSERT INTO "_replicator_tables" VALUES('young','public','loose','main','loose','chosen',NULL,1,1,'{"id":"2","key":[],"columns":[{"name":"a","type":{"bits":64,"signed":true,"kind":"integer"},"nullable":true,"native":"20:-1","native_name":"bigint","number":0},{"name":"b","type":{"length":null,"fixed":false,"kind":"text"},"nullable":true,"native":"25:-1","native_name":"text","number":0}],"uniques":[]}','{}','',NULL,NULL,NULL,NULL);
CREATE TABLE "gone" (
    "id" INTEGER PRIMARY KEY NOT NULL,
    "u" INTEGER,
    "v" TEXT
) STRICT;
CREATE TABLE "half" (
    "id" INTEGER PRIMARY KEY NOT NULL,
    "u" INTEGER,
    "v" TEXT
) STRICT;
INSERT INTO "half" VALUES(1,1,'x');
CREATE TABLE "items" (
    "id" INTEGER PRIMARY KEY NOT NULL,
    "u" INTEGER,
    "v" TEXT
) STRICT;
INSERT INTO "items" VALUES(1,10,'a');
CREATE UNIQUE INDEX "_replicator_items(u)" ON "items" ("u");
COMMIT;
